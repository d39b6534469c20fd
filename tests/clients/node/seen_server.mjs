// Node's http. Prints each request that it has understood, and `bad` for what it has not. Answers in
// `X-Means` with the path as URL, decodeURIComponent and path.normalize have it.
//
//     seen_server.mjs PORT

import { createServer } from "node:http";
import { posix } from "node:path";

function means(url) {
  try {
    return posix.normalize(decodeURIComponent(new URL(`http://h${url}`).pathname));
  } catch {
    return url;
  }
}

const server = createServer((request, response) => {
  console.log(`${request.method} ${request.url} HTTP/${request.httpVersion}`);
  request.on("error", () => {});
  response.setHeader("X-Means", encodeURI(means(request.url)));
  request.on("end", () => response.end("seen"));
  request.resume();
});
// A body that is cut off is no other request: what it belongs to has been printed.
const CUT = ["HPE_INVALID_EOF_STATE", "ECONNRESET"];
// Node tells of each piece that arrives behind an error.
const told = new WeakSet();
server.on("clientError", (error, socket) => {
  if (!CUT.includes(error.code) && !told.has(socket)) console.log(`bad ${error.code}`);
  told.add(socket);
  socket.destroy();
});
server.listen(Number(process.argv[2]), "127.0.0.1");
