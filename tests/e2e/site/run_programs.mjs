// Runs ES modules one after another: reads the path of one from each line of the input, and writes what it logged, or the
// name of the error that it threw, as a line of JSON.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let logged;
console.log = (value) => (logged = value);

for await (const path of createInterface({ input: process.stdin })) {
  logged = null;
  try {
    await import(pathToFileURL(path));
    write({ logged });
  } catch (error) {
    write({ error: error.name, message: error.message });
  }
}
