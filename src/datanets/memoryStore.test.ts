import { MemoryDatanetStore } from "./memoryStore.ts";
import { describeDatanetStore } from "./storeSuite.ts";

describeDatanetStore("memory", async () => ({ store: new MemoryDatanetStore(), close: async () => undefined }));
