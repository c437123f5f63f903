import { expect, test } from "vitest";
import { testDatabase } from "../../test/support/testDatabase.ts";
import { RefusalError, unwrap } from "../core/result.ts";
import { describeFactoryStore, jobOf } from "../factory/testing/storeSuite.ts";
import { openFactoryStore } from "./factoryStore.ts";

describeFactoryStore("factory store in PostgreSQL", async () => {
  const database = await testDatabase();
  const store = unwrap(await openFactoryStore(database));
  return {
    store,
    close: async () => {
      await store.close();
      await database.drop();
    },
  };
});

test("what was kept is there after a restart, and a database that goes away is a refusal", async () => {
  const database = await testDatabase();
  const first = unwrap(await openFactoryStore(database));
  unwrap(await first.addJob(jobOf(1, "a")));
  await first.close();
  const second = unwrap(await openFactoryStore(database));
  expect(await second.openJobs()).toEqual([jobOf(1, "a")]);
  await database.drop();
  await expect(second.job("ftjob-1")).rejects.toThrow(RefusalError);
  expect(await second.saveJob(jobOf(1, "a"))).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
  await second.close();
});
