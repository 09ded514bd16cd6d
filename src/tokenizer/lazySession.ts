import type { Session } from './session';

/** A session that most requests do without: opened when it is first needed, and again if that failed. */
export class LazySession {
  private opened: Promise<Session> | undefined;

  /** @param check throws if the session is not the one that was promised. */
  constructor(
    private readonly open: () => Promise<Session>,
    private readonly check: (session: Session) => void,
  ) {}

  /** @throws whatever opening or checking it does. */
  async get(): Promise<Session> {
    this.opened ??= this.open();
    try {
      const session = await this.opened;
      this.check(session);
      return session;
    } catch (error) {
      this.opened = undefined;
      throw error;
    }
  }

  /** Releases the session if it was opened. */
  async release(): Promise<void> {
    const session = await this.opened?.catch(() => undefined);
    await session?.release();
  }
}
