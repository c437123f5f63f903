import { createServer } from "node:net";
import { ok, type Result, refuse } from "../core/result.ts";

/** A port on 127.0.0.1 that nothing listened on a moment ago; whoever takes it must still cope with losing the race. */
export async function freePort(): Promise<number> {
  const port = await listenOnce(0);
  if (typeof port === "string") throw new Error(`no port is free on 127.0.0.1: ${port}`);
  return port;
}

/** The wished port if it is free, any free one if none was wished, else `port_in_use`. */
export async function choosePort(wished: number | undefined, user: string): Promise<Result<number>> {
  if (wished === undefined) return ok(await freePort());
  if (typeof (await listenOnce(wished)) === "number") return ok(wished);
  return refuse("port_in_use", `port ${wished} on 127.0.0.1, wished for ${user}, is taken by another process`, {
    hint: "stop that process, or choose another port",
    field: "port",
  });
}

/** Whether something listens on the port already, so that this can be said before any work is done. Other trouble is left to who listens. */
export async function isTaken(port: number, host: string): Promise<boolean> {
  return port !== 0 && (await listenOnce(port, host)) === "EADDRINUSE";
}

/** The port once it could be listened on and was let go again; why not, if it could not. */
function listenOnce(port: number, host = "127.0.0.1"): Promise<number | string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : "no port"));
    });
  });
}
