import { memoryStore } from "./memoryStore.ts";
import { describeLedgerStore } from "./storeSuite.ts";

describeLedgerStore("in memory", async () => ({ store: memoryStore(), close: async () => undefined }));
