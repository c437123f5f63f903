// Solidity → src/chain/artifacts/<Name>.json, {abi, bytecode}, the same bytes on every machine.
//   node contracts/build.mjs                 write the artifacts
//   node contracts/build.mjs --check         fail when a committed artifact differs from its source
//   node contracts/build.mjs --print FILE    compile one more file (a test harness) and print its contracts as JSON
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import solc from "solc";

const here = new URL(".", import.meta.url);
const artifacts = new URL("../src/chain/artifacts/", here);
const shipped = ["OpenToken", "AssetRegistry", "FeePolicy", "PayerEscrow", "EpochSettlement", "ClaimRelay"];
const require = createRequire(import.meta.url);

const [flag, file] = process.argv.slice(2);
if (flag === "--print") {
  const contracts = compile([file]).contracts[file];
  console.log(
    JSON.stringify(Object.fromEntries(Object.entries(contracts).map(([name, made]) => [name, artifact(made)]))),
  );
} else {
  const { contracts } = compile(shipped.map((name) => `src/${name}.sol`));
  const stale = shipped.filter(
    (name) => !settle(name, artifact(contracts[`src/${name}.sol`][name]), flag === "--check"),
  );
  if (stale.length > 0) {
    console.error(`stale artifacts: ${stale.join(", ")}; run: npm run build:contracts`);
    process.exit(1);
  }
  console.log(`${shipped.length} artifacts ${flag === "--check" ? "match their source" : "written"}`);
}

function compile(paths) {
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(paths.map((path) => [path, { content: readFileSync(new URL(path, here), "utf8") }])),
    settings: {
      evmVersion: "cancun",
      optimizer: { enabled: true, runs: 200 },
      metadata: { bytecodeHash: "none", appendCBOR: false },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: load }));
  const problems = (output.errors ?? []).filter((problem) => !problem.sourceLocation?.file.startsWith("@"));
  for (const problem of problems) console.error(problem.formattedMessage);
  if (problems.length > 0) process.exit(1);
  return output;
}

function load(path) {
  const at = path.startsWith("@") ? require.resolve(path) : new URL(path, here);
  return { contents: readFileSync(at, "utf8") };
}

function artifact(made) {
  // EIP-170 and EIP-3860: larger contracts cannot be deployed.
  if (made.evm.deployedBytecode.object.length / 2 > 24_576) throw new Error("a contract exceeds 24,576 bytes");
  if (made.evm.bytecode.object.length / 2 > 49_152) throw new Error("a contract's creation code exceeds 49,152 bytes");
  return { abi: made.abi, bytecode: `0x${made.evm.bytecode.object}` };
}

/** Writes the artifact, or only compares; false when the committed one differs. */
function settle(name, made, onlyCheck) {
  const path = new URL(`${name}.json`, artifacts);
  const text = `${JSON.stringify(made, null, 2)}\n`;
  if (onlyCheck) return readdirSync(artifacts).includes(`${name}.json`) && readFileSync(path, "utf8") === text;
  mkdirSync(artifacts, { recursive: true });
  writeFileSync(path, text);
  return true;
}
