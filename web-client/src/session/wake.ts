// Keeps the screen on while somebody talks: a phone that goes to sleep closes the microphone.

export class WakeLock {
  #wanted = false;
  #lock: WakeLockSentinel | null = null;

  keep(wanted: boolean): void {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted) return this.renew();
    void this.#lock?.release().catch(() => {});
    this.#lock = null;
  }

  /** Browsers take the lock away from a page that is hidden. */
  renew(): void {
    if (!this.#wanted || !('wakeLock' in navigator) || (this.#lock && !this.#lock.released)) return;
    navigator.wakeLock.request('screen').then(
      (lock) => {
        this.#lock = lock;
        if (!this.#wanted) void lock.release().catch(() => {});
      },
      // Battery saving, or forbidden: talking works without.
      () => {},
    );
  }
}
