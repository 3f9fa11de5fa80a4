

# After the documented `verify`: an assertion a line in, what it says or why it does not hold a line out.
import json
import sys

for line in sys.stdin:
    try:
        answer = {"facts": verify(line.strip())}
    except Exception as refused:
        answer = {"refused": f"{type(refused).__name__}: {refused}"}
    print(json.dumps(answer), flush=True)
