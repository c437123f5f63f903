import { testDatabase } from "../../test/support/testDatabase.ts";
import { unwrap } from "../core/result.ts";
import { describeDatanetStore } from "../datanets/storeSuite.ts";
import { openDatanetStore } from "./datanetStore.ts";

describeDatanetStore("PostgreSQL", async () => {
  const database = await testDatabase();
  const store = unwrap(await openDatanetStore(database));
  return {
    store,
    close: async () => {
      await store.close();
      await database.drop();
    },
  };
});
