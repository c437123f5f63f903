import { expect, test } from "vitest";
import { Turns } from "./turns.ts";

test("so many at a time, and the first who waits is next", async () => {
  const turns = new Turns(2);
  const began: number[] = [];
  const taken = [0, 1, 2, 3].map(async (who) => {
    const turn = await turns.take();
    began.push(who);
    return turn;
  });
  const [first, second] = [await taken[0]!, await taken[1]!];
  await new Promise((resolve) => setImmediate(resolve));
  expect(began).toEqual([0, 1]);
  second.end();
  const third = await taken[2]!;
  expect(began).toEqual([0, 1, 2]);
  first.end();
  third.end();
  (await taken[3]!).end();
  expect(began).toEqual([0, 1, 2, 3]);
});
