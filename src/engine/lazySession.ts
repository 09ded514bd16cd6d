import type { GraphSession } from './thread/graphSession';

/** A session that most requests do without: opened when it is first needed, and again if that failed or it has ended. */
export class LazySession {
  private opened: Promise<GraphSession> | undefined;

  /** @param check throws if the session is not the one that was promised; it is released then. */
  constructor(
    private readonly open: () => Promise<GraphSession>,
    private readonly check: (session: GraphSession) => void,
  ) {}

  /** @throws whatever opening or checking it does. */
  async get(): Promise<GraphSession> {
    const before = this.opened;
    if ((await before?.catch(() => undefined))?.ended === true) this.forget(before);
    const opened = (this.opened ??= this.openChecked());
    try {
      return await opened;
    } catch (error) {
      this.forget(opened);
      throw error;
    }
  }

  /** Releases the session if it was opened. */
  async release(): Promise<void> {
    const session = await this.opened?.catch(() => undefined);
    await session?.release();
  }

  private async openChecked(): Promise<GraphSession> {
    const session = await this.open();
    try {
      this.check(session);
    } catch (error) {
      await session.release().catch(() => undefined);
      throw error;
    }
    return session;
  }

  /** Another call that waited for it may have opened the next one. */
  private forget(opened: Promise<GraphSession> | undefined): void {
    if (this.opened === opened) this.opened = undefined;
  }
}
