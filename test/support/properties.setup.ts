import fc from "fast-check";

/**
 * The seed of every property, where the environment gives one: `.ci/run` does, so that what is red there is red again here. Without one each run draws
 * anew, and a failure prints the seed that it drew.
 */
const given = process.env["PROPERTY_SEED"];
if (given !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(given) });
