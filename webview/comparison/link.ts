import { effect, type ReadonlySignal, type Signal } from '@preact/signals';

/** Keeps two signals equal while `linked`: the one that changed leads, the first when they come to be linked. */
export function link<T>(first: Signal<T>, second: Signal<T>, linked: ReadonlySignal<boolean>): void {
  let [formerFirst, formerSecond] = [first.peek(), second.peek()];
  effect(() => {
    const [a, b] = [first.value, second.value];
    if (linked.value && a !== b) {
      if (b !== formerSecond && a === formerFirst) first.value = b;
      else second.value = a;
    }
    [formerFirst, formerSecond] = [first.peek(), second.peek()];
  });
}
