import { type Hex, u64 } from "../src/core/bytes.ts";
import { type Closing, closeEpoch, noTotals } from "../src/core/closing.ts";
import { EPOCH_BYTES } from "../src/core/epoch.ts";
import { keccak256 } from "../src/core/hash.ts";
import { Postings } from "../src/core/postings.ts";

const LARGE = 1_000_000;
const SMALL = 10;

/** Closes an epoch with a million accounts and a million legs: sort, running totals, three trees, and a second one on top of its totals. */
export async function run(): Promise<void> {
  const ids = Array.from({ length: LARGE + 1 }, (_, number) => keccak256(u64(number)));
  const small = measured(SMALL, ids, noTotals, 1);
  const first = measured(LARGE, ids, noTotals, 1);
  const second = measured(LARGE, ids, first.closing.after, 2);
  const rows = [
    {
      epoch: "10 accounts, 10 legs",
      seconds: small.seconds,
      cpuSeconds: small.cpuSeconds,
      committedBytes: EPOCH_BYTES,
    },
    {
      epoch: "1,000,000 accounts, 1,000,000 legs",
      seconds: first.seconds,
      cpuSeconds: first.cpuSeconds,
      committedBytes: EPOCH_BYTES,
    },
    {
      epoch: "the same again, on top of a million totals",
      seconds: second.seconds,
      cpuSeconds: second.cpuSeconds,
      committedBytes: EPOCH_BYTES,
    },
  ];
  console.table(rows);
  const megabytes = Math.round(process.memoryUsage().rss / 1_000_000);
  const sums = { postings: first.closing.record.postingsCount, payouts: first.closing.record.payoutCount };
  console.log(
    JSON.stringify({
      bench: "epoch",
      accounts: LARGE,
      legs: LARGE,
      firstSeconds: first.seconds,
      firstCpuSeconds: first.cpuSeconds,
      secondSeconds: second.seconds,
      secondCpuSeconds: second.cpuSeconds,
      committedBytes: EPOCH_BYTES,
      megabytes,
      ...sums,
    }),
  );
}

function measured(
  count: number,
  ids: readonly Uint8Array[],
  before: Parameters<typeof closeEpoch>[0]["before"],
  epoch: number,
): { readonly seconds: number; readonly cpuSeconds: number; readonly closing: Closing } {
  const postings = new Postings();
  let total = 0n;
  for (let i = 0; i < count; i++) {
    const amount = 1 + (i % 97);
    total += BigInt(amount);
    // 7,919 is prime: the accounts come in no order that a sort would like.
    postings.add(1 + ((i * 7_919) % count), i, i % 36, amount);
  }
  const payer: Hex = `0x${"11".repeat(32)}`;
  const policyHash = new Uint8Array(32);
  const [began, cpuBefore] = [performance.now(), process.cpuUsage()];
  const closing = closeEpoch({
    ...{
      epoch,
      first: 0,
      end: count,
      postings,
      charges: new Map([[payer, total]]),
      before,
      policyHash,
      registryBlock: 1,
    },
    idOf: (number) => ids[number]!,
  });
  const { user, system } = process.cpuUsage(cpuBefore);
  const seconds = Math.round(performance.now() - began) / 1_000;
  return { seconds, cpuSeconds: Math.round((user + system) / 1_000) / 1_000, closing };
}
