/** How a call deals with the child that has it. */
export interface ChildLine {
  /** Sends the bytes that the child asked for; dropped when it no longer has the call. */
  sendBlock(bytes: Uint8Array): void;
  /** Kills the child, for it says what it must not say. */
  condemn(problem: string): void;
}

/** Whether a call goes on after a report, or that was the last word on it. */
export type Heard = 'MORE' | 'LAST';

/** What a child sends once, and first. */
export interface Ready {
  readonly type: 'ready';
}

/** What a child sends about a call. */
export interface CallReport {
  readonly type: string;
  readonly call: number;
}

/** One call of a pool, as its processes deal with it. */
export interface ChildCall<Said extends CallReport = CallReport> {
  /** Settled once, with what its caller wants. */
  readonly result: Promise<unknown>;
  /** What the child is told to do. */
  readonly order: object;
  /** Milliseconds that its child may work for it. */
  readonly deadlineMs: number;
  /** Milliseconds without a sign of life after which its child is taken to hang; none where there are no such signs. */
  readonly silenceMs?: number;
  /** Milliseconds that its child has worked for it; waiting for a remote source does not count. */
  workedMs: number;
  /** What `workedMs` was when the child last gave a sign of life. */
  heardAtMs: number;
  /**
   * Whether it must have a child to itself: one of a local file, or one whose child died with others in it, so that it
   * shows whose fault that was.
   */
  alone: boolean;
  /** Whether it must have a child that was never given another call. */
  readonly fresh: boolean;
  /** Begins its account anew, for another child. */
  restart(): void;
  isWaiting(): boolean;
  isSettled(): boolean;
  /** Ends the caller's wait; only the first word counts. */
  fail(error: unknown): void;
  /** Takes what the child says of it. With a promise the call stays with its child until that is settled; it never rejects. */
  hear(report: Said, line: ChildLine): Heard | Promise<Heard>;
}
