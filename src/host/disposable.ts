import type { Disposable as VscodeDisposable } from 'vscode';

/** The one way classes of the extension host clean up: register what they own, check `isDisposed` after every await. */
export abstract class Disposable implements VscodeDisposable {
  private readonly owned: VscodeDisposable[] = [];
  private disposed = false;

  get isDisposed(): boolean {
    return this.disposed;
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    // Last registered first: later parts may rely on earlier ones.
    for (const part of this.owned.splice(0).reverse()) part.dispose();
  }

  /** Takes ownership; after disposal the value is disposed at once, so nothing created across an await leaks. */
  protected register<T extends VscodeDisposable>(value: T): T {
    if (this.disposed) value.dispose();
    else this.owned.push(value);
    return value;
  }
}
