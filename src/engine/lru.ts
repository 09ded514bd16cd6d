/** A small map that forgets what was used least recently. */
export class Lru<Key, Value> {
  private readonly entries = new Map<Key, Value>();

  /** @param forget called with every value that is pushed out. */
  constructor(
    private readonly capacity: number,
    private readonly forget: (value: Value) => void = () => undefined,
  ) {}

  get(key: Key): Value | undefined {
    const value = this.entries.get(key);
    if (value !== undefined) {
      this.entries.delete(key);
      this.entries.set(key, value);
    }
    return value;
  }

  set(key: Key, value: Value): void {
    this.entries.delete(key);
    this.entries.set(key, value);
    for (const [oldest, forgotten] of this.entries) {
      if (this.entries.size <= this.capacity) break;
      this.entries.delete(oldest);
      this.forget(forgotten);
    }
  }
}
