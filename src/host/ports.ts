import { createServer } from "node:net";
import { ok, type Result, refuse } from "../core/result.ts";

/** A port on 127.0.0.1 that nothing listened on a moment ago; whoever takes it must still cope with losing the race. */
export async function freePort(): Promise<number> {
  const port = await listenOnce(0);
  if (port === undefined) throw new Error("no port is free on 127.0.0.1");
  return port;
}

/** The wished port if it is free, any free one if none was wished, else `port_in_use`. */
export async function choosePort(wished: number | undefined, user: string): Promise<Result<number>> {
  if (wished === undefined) return ok(await freePort());
  if ((await listenOnce(wished)) !== undefined) return ok(wished);
  return refuse("port_in_use", `port ${wished} on 127.0.0.1, wished for ${user}, is taken by another process`, {
    hint: "stop that process, or choose another port",
    field: "port",
  });
}

/** The port once it could be listened on and was let go again; undefined if it could not. */
function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : undefined));
    });
  });
}
