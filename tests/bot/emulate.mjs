// Starts emulate's GitHub on 127.0.0.1 (it would listen everywhere) and prints the port; ends with its standard input.
//   node emulate.mjs FOLDER BASE-URL SEED
import net from "node:net";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, baseUrl, seed] = process.argv.slice(2);
const listen = net.Server.prototype.listen;
let server;
net.Server.prototype.listen = function (...given) {
  server = this;
  return listen.call(this, { port: 0, host: "127.0.0.1" }, given.find((one) => typeof one === "function"));
};
const { createEmulator } = await import(pathToFileURL(path.join(folder, "node_modules/emulate/dist/api.js")).href);
await createEmulator({ service: "github", port: 1, baseUrl, seed: JSON.parse(seed) });
if (!server.listening) await new Promise((done) => server.once("listening", done));
console.log(server.address().port);
process.stdin.on("end", () => process.exit()).resume();
