
// After the documented `verify`: an assertion a line in, what it says or why it does not hold a line out.
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await verify(line).then(
    (facts) => ({ facts }),
    (refused) => ({ refused: `${refused.code}: ${refused.message}` }),
  );
  console.log(JSON.stringify(answer));
}
