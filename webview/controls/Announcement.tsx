import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** The pointer may cross many patches; only one that it rests on is announced. */
const announceAfterMs = 200;

/** Tells assistive technology of the focused patch. */
export function Announcement({ text }: { readonly text: string }): JSX.Element {
  const [announced, setAnnounced] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setAnnounced(text), announceAfterMs);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <p class="visually-hidden" aria-live="polite" data-testid="announcement">
      {announced}
    </p>
  );
}
