/** A way of writing receipts: `work` writes so many of them, durably, with so much of it in flight. */
export interface Way {
  readonly name: string;
  readonly receipts: number;
  readonly inFlight: number;
  work(): Promise<void>;
  close(): Promise<void>;
}

/** Receipts a second, and the CPU that one takes: of this process, and of PostgreSQL's. */
export interface Measured {
  readonly perSecond: number;
  readonly nodeMicros: number;
  readonly storeMicros: number;
}

export async function spin(way: Way, milliseconds: number, storeCpuMicros: () => number): Promise<Measured> {
  const [began, cpuBefore, storeBefore] = [performance.now(), process.cpuUsage(), storeCpuMicros()];
  let receipts = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - began < milliseconds) {
      await way.work();
      receipts += way.receipts;
    }
  };
  await Promise.all(Array.from({ length: way.inFlight }, worker));
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    perSecond: (receipts * 1_000) / (performance.now() - began),
    nodeMicros: (user + system) / receipts,
    storeMicros: (storeCpuMicros() - storeBefore) / receipts,
  };
}

export function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
