#include "agent/checkpoints.hpp"

#include <nlohmann/json.hpp>

#include "millrace/base/write_synced.hpp"

namespace millrace::agent {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kBytesMax = 64u << 20;
constexpr const char* kNotOurs = "is no file of checkpoints that this agent has written";

Mark read_mark(const Json& from) {
  Mark mark;
  mark.path = from.at("path").get<std::string>();
  for (const auto& [name, out] : {std::pair{"device", &mark.device},
                                  {"inode", &mark.inode},
                                  {"offset", &mark.offset},
                                  {"head_bytes", &mark.head_bytes},
                                  {"recent_bytes", &mark.recent_bytes}}) {
    const Json& value = from.at(name);
    if (!value.is_number_unsigned()) throw std::runtime_error("a number that nobody writes");
    *out = value.get<std::uint64_t>();
  }
  mark.head = from.at("head").get<std::string>();
  mark.recent = from.at("recent").get<std::string>();
  constexpr std::uint64_t kWindowMax = 4096;
  if (mark.head_bytes > kWindowMax || mark.recent_bytes > kWindowMax || mark.recent_bytes > mark.offset)
    throw std::runtime_error("a window that nobody writes");
  return mark;
}

}  // namespace

std::string write_checkpoints(const Checkpoints& all) {
  Json flows = Json::object();
  for (const auto& [flow, marks] : all) {
    Json& list = flows[flow] = Json::array();
    for (const Mark& mark : marks)
      list.push_back({{"path", mark.path},
                      {"device", mark.device},
                      {"inode", mark.inode},
                      {"offset", mark.offset},
                      {"head_bytes", mark.head_bytes},
                      {"head", mark.head},
                      {"recent_bytes", mark.recent_bytes},
                      {"recent", mark.recent}});
  }
  return Json{{"version", 1}, {"flows", std::move(flows)}}.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::variant<Checkpoints, std::string> read_checkpoints(std::string_view text) {
  try {
    const Json root = Json::parse(text);
    if (root.at("version") != 1)
      return "is of version " + root.at("version").dump() + ", which this agent does not know";
    Checkpoints all;
    for (const auto& [flow, marks] : root.at("flows").items()) {
      std::vector<Mark>& list = all[flow];
      for (const Json& mark : marks) list.push_back(read_mark(mark));
    }
    return all;
  } catch (const std::exception&) {
    return std::string(kNotOurs);
  }
}

std::variant<Checkpoints, std::string> load_checkpoints(Files& files, const std::filesystem::path& path) {
  const auto kind = files.kind(path);
  if (!kind) return kind.error().detail;
  if (*kind == Files::Kind::none) return Checkpoints{};
  const auto text = files.read_all(path, kBytesMax);
  if (!text) return text.error().detail;
  auto read = read_checkpoints(*text);
  if (std::string* wrong = std::get_if<std::string>(&read)) return path.string() + " " + *wrong;
  return read;
}

std::string save_checkpoints(Files& files, const std::filesystem::path& path, const Checkpoints& all) {
  std::filesystem::path fresh = path;
  fresh += ".new";
  const auto save = [&]() -> FileResult<> {
    if (auto done = write_synced(files, fresh, write_checkpoints(all)); !done) return done;
    if (auto done = files.rename(fresh, path); !done) return done;
    return files.sync_directory(path.parent_path());
  };
  const FileResult<> saved = save();
  return saved ? std::string() : saved.error().detail;
}

}  // namespace millrace::agent
