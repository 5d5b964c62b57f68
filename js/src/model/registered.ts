/** Which workspaces this server's user has, asked once for a page and again for one that was not among them. */

const AGAIN_MS = 5_000;

export class Registered {
  private known: Promise<Set<string> | null> | undefined;
  private asked = Number.NEGATIVE_INFINITY;

  /** `ask` gives the ids, or null where the server has no door; it may fail. */
  constructor(
    private readonly ask: () => Promise<Set<string> | null>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Whether runs of the workspace can be shown live. A server that does not answer has none. */
  async has(workspace: string): Promise<boolean> {
    if (workspace === "") {
      return false;
    }
    if ((await this.current())?.has(workspace)) {
      return true;
    }
    // A workspace may be made while the page is open.
    if (this.now() - this.asked < AGAIN_MS) {
      return false;
    }
    this.known = undefined;
    return (await this.current())?.has(workspace) ?? false;
  }

  private current(): Promise<Set<string> | null> {
    if (this.known === undefined) {
      this.asked = this.now();
      this.known = this.ask().catch(() => null);
    }
    return this.known;
  }
}
