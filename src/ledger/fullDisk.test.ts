import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Result, refuse, unwrap } from "../core/result.ts";
import type { AppendBatch, LedgerStore, StoreRefusal } from "./ports.ts";
import { memoryStore } from "./testing/memoryStore.ts";
import { account, draft, open, type SmallLedger, SmallWorld, smallLedger, verified } from "./testing/smallLedger.ts";

const full = { code: "disk_full", message: "no space left", mayPass: true } as const;
type Append = (batch: AppendBatch) => Promise<Result<void, StoreRefusal>>;

/** A store whose appends fail from when `disk.fate` says how. */
function onDisk(disk: { fate?: (append: Append, batch: AppendBatch) => ReturnType<Append> }): LedgerStore {
  const store = memoryStore();
  return { ...store, append: (batch) => disk.fate?.(store.append, batch) ?? store.append(batch) };
}

const codeOf = (result: Result<unknown>): string => (result.ok ? "ok" : result.error.code);
const noRoom = async (): ReturnType<Append> => ({ ok: false, error: full });

let disk: Parameters<typeof onDisk>[0];
let small: SmallLedger;
let payer: string;
beforeEach(async () => {
  disk = {};
  small = await smallLedger({ store: onDisk(disk) });
  payer = (await account(small, 1_000_000)).id;
  vi.useFakeTimers({ toFake: ["setTimeout"] });
});
afterEach(() => void vi.useRealTimers());

const place = () => small.ledger.holds.place({ account: payer, amount: 150 });
const post = (hold: Uint8Array) => small.ledger.books.post(draft(hold, 60, 40));
/** Lets the writer's waits pass, and what happens between them. */
async function seconds(count: number): Promise<void> {
  for (let second = 0; second < count; second++) {
    await new Promise((resolve) => setImmediate(resolve));
    await vi.advanceTimersByTimeAsync(1_000);
  }
}

test("what was under way when the disk was full is journalled once there is room, once; nothing is begun meanwhile", async () => {
  const holds = [0, 1, 2].map(() => unwrap(place()));
  disk.fate = noRoom;
  const first = post(holds[0]!.id);
  await seconds(60);
  expect(small.ledger.books.waiting()).toMatchObject({
    ...{ code: "disk_full", message: "no space left" },
    hint: expect.stringMatching("by itself"),
  });
  expect(small.ledger.books.stopped()).toBeUndefined();
  expect(codeOf(place())).toBe("disk_full");
  expect(codeOf(await small.ledger.accounts.open({ name: "x" }))).toBe("disk_full");
  // Answers that are delivered meanwhile.
  const others = holds.slice(1).map(({ id }) => post(id));
  await seconds(60);
  delete disk.fate;
  await seconds(60);
  expect((await Promise.all([first, ...others])).map(codeOf)).toEqual(["ok", "ok", "ok"]);
  expect(small.ledger.books.waiting()).toBeUndefined();
  expect(codeOf(place())).toBe("ok");
  expect((await verified(small)).kinds.receipt).toBe(3);
  expect(small.ledger.accounts.balance(payer)).toMatchObject({ spent: 300n, held: 150n });
});

test.each<[string, NonNullable<typeof disk.fate>, string]>([
  // what came of the append while the store was away                          and then
  ["written, its answer lost", (append, batch) => append(batch).then(noRoom), "ok"],
  [
    "taken over by another",
    async () => {
      unwrap(await small.store.takeOver(small.ledger.id));
      return noRoom();
    },
    "writer_fenced",
  ],
  ["refused for good", async () => refuse("data_folder_damaged", "set back"), "data_folder_damaged"],
])("while it waits, the batch is %s", async (_, fate, code) => {
  const hold = unwrap(place());
  disk.fate = noRoom;
  const posted = post(hold.id);
  await seconds(60);
  disk.fate = fate;
  await seconds(6);
  delete disk.fate;
  await seconds(60);
  expect(codeOf(await posted)).toBe(code);
  expect((await verified(small)).kinds.receipt ?? 0).toBe(code === "ok" ? 1 : 0);
  expect(codeOf(place())).toBe(code);
});

test("a ledger that is closed while it waits ends, and what it had not written is not there", async () => {
  const hold = unwrap(place());
  disk.fate = noRoom;
  const posted = post(hold.id);
  await seconds(60);
  const closed = small.ledger.close();
  await seconds(60);
  await closed;
  expect(codeOf(await posted)).toBe("disk_full");
  delete disk.fate;
  const again = await open(small.store, new SmallWorld());
  expect(again.books.totals()).toMatchObject({ receipts: 0, debited: 0n });
});
