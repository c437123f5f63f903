import { MemoryFactoryStore } from "./memoryStore.ts";
import { describeFactoryStore } from "./storeSuite.ts";

describeFactoryStore("factory store in memory", async () => ({
  store: new MemoryFactoryStore(),
  close: async () => undefined,
}));
