"""mpesakit's schemas judge our requests, and the simulator's answers and posts. Runs in its environment."""

import importlib
import json
import sys
import warnings

from pydantic import ValidationError


def main() -> None:
    given = json.load(sys.stdin)
    found: dict[str, list[str]] = {}
    for name, module, schema, body in given["bodies"]:
        model = getattr(importlib.import_module(f"mpesakit.{module}.schemas"), schema)
        wrong: list[str] = []
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                read = model(**body)
                success = getattr(read, "is_successful", None)
                if callable(success) and not success():
                    wrong.append("it does not read success")
            except ValidationError as error:
                wrong = [
                    f"{'.'.join(str(part) for part in one['loc']) or 'body'}: {one['type']}" for one in error.errors()
                ]
            except (TypeError, ValueError) as error:
                wrong = [f"{type(error).__name__}: {error}"]
        found[name] = wrong + [str(one.message) for one in said if one.category is UserWarning]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
