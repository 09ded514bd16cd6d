/** Memory that is lent again and again: fresh memory costs a page fault for every 4 KiB, for large batches more than their copy. */
export class Scratch {
  private idle: Uint8Array<ArrayBuffer> | undefined;

  /** Lends some bytes, whatever is in them, until `work` is done. Bytes lent to one are not lent to another. */
  async lend<Result>(length: number, work: (bytes: Uint8Array<ArrayBuffer>) => Promise<Result>): Promise<Result> {
    const { idle } = this;
    this.idle = undefined;
    const memory = idle !== undefined && idle.length >= length ? idle : new Uint8Array(length);
    try {
      return await work(memory.subarray(0, length));
    } finally {
      this.takeBack(memory);
    }
  }

  private takeBack(memory: Uint8Array<ArrayBuffer>): void {
    if (memory.length > (this.idle?.length ?? 0)) this.idle = memory;
  }
}
