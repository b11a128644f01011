#include "config/table.hpp"

namespace millrace::config {

std::string document() {
  std::string out =
      "# Configuration\n"
      "\n"
      "Written from the table of keys; a test compares. `millrace serve --config FILE` reads one YAML file, `millrace "
      "check --config FILE` only says what is wrong with it: a line for each mistake with file, line and key, exit "
      "code 1. Without `--config` every key has its "
      "default "
      "and nothing is declared. [`config/millrace.yaml`](../config/millrace.yaml) is a commented example.\n"
      "\n"
      "The environment goes over the file: a key's name there is its path in capitals. An empty value counts as not "
      "set; an "
      "unknown `MILLRACE_*` only warns. Sizes are written `512MiB` or `12GiB` (KiB, MiB, GiB, TiB, or bytes without a "
      "unit), durations `250ms`, `8s`, `5m`, `1h`. A value is read by its key's type, never by its looks. `data_dir` "
      "is "
      "relative to the working directory, every other path to the file that names it.\n"
      "\n"
      "## Keys\n";
  for (const Key& key : keys()) {
    out += "\n### `" + std::string(key.path) + "`\n\n" + std::string(key.sentence) + "\n\n";
    out += "- Type: " + std::string(kind_text(key.kind));
    std::string bounds = bounds_text(key);
    if (key.kind == Kind::choice) out += " " + bounds;
    out += "\n- Default: ";
    out += key.fallback_text.empty() ? "`" + default_text(key) + "`" : default_text(key);
    if (!bounds.empty() && key.kind != Kind::choice) out += "\n- Bounds: " + bounds;
    out += "\n- Environment: `" + environment_name(key.path) + "`\n";
  }
  out +=
      "\n## Declarations\n"
      "\n"
      "Lists in the file only. What they declare is there, and delivery reads it from its first record, before a "
      "listener "
      "opens. A declaration never destroys what holds data: a stream that exists gets the tags and the retention "
      "declared, "
      "a different shard count is reported and left.\n";
  for (const List& list : lists()) {
    out += "\n### `" + std::string(list.path) + "`\n\n" + std::string(list.sentence) + "\n";
    if (!list.members.empty()) out += "\n| member | meaning |\n|---|---|\n";
    for (const Member& member : list.members)
      out += "| `" + std::string(member.name) + "` | " + std::string(member.sentence) + " |\n";
  }
  return out;
}

}  // namespace millrace::config
