#include "gateway/vtl/json_path.hpp"

#include <charconv>

namespace millrace::gateway::vtl {

std::optional<JsonPath> JsonPath::parse(std::string_view text, std::string& problem) {
  JsonPath path;
  std::size_t at = 0;
  auto refuse = [&](std::string what) {
    problem = "JSONPath " + (text.empty() ? std::string() : std::string(text) + ": ") + std::move(what);
    return std::nullopt;
  };
  if (text.empty()) return refuse("is empty");
  bool bare = text.front() != '$';  // `a.b` is read as `$.a.b`
  if (!bare) at = 1;
  while (at < text.size()) {
    Step step;
    if (text[at] == '[') {
      ++at;
      if (at < text.size() && (text[at] == '\'' || text[at] == '"')) {
        const char quote = text[at++];
        for (; at < text.size() && text[at] != quote; ++at) {
          if (text[at] == '\\' && at + 1 < text.size()) ++at;
          step.name += text[at];
        }
        if (at >= text.size()) return refuse("a quote is not closed");
        ++at;
      } else {
        const std::size_t close = text.find(']', at);
        if (close == std::string_view::npos) return refuse("`[` is not closed");
        std::string_view digits = text.substr(at, close - at);
        auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step.index);
        if (error != std::errc{} || end != digits.data() + digits.size())
          return refuse("`[" + std::string(digits) + "]` is not supported: use ['name'] or [number]");
        step.is_index = true;
        at = close;
      }
      if (at >= text.size() || text[at] != ']') return refuse("`[` takes one name or number and `]`");
      ++at;
    } else {
      if (!bare) {
        if (text[at] != '.') return refuse("`.` or `[` expected after `" + std::string(text.substr(0, at)) + "`");
        ++at;
      }
      if (at < text.size() && text[at] == '.') return refuse("`..` is not supported");
      const std::size_t begin = at;
      while (at < text.size() && text[at] != '.' && text[at] != '[') {
        if (std::string_view("*()?@,]'\" \t\r\n").find(text[at]) != std::string_view::npos)
          return refuse(std::string("`") + text[at] + "` is not supported");
        ++at;
      }
      step.name = text.substr(begin, at - begin);
      if (step.name.empty()) return refuse("a name is missing");
    }
    bare = false;
    path.steps_.push_back(std::move(step));
  }
  return path;
}

Value JsonPath::find(Value from, Budget& budget) const {
  for (const Step& step : steps_) {
    if (step.is_index) {
      if (!from.is(Value::Kind::list)) return {};
      const auto& items = from.as_list().items;
      const auto size = static_cast<std::int64_t>(items.size());
      if (step.index >= size || step.index < -size) return {};
      from = items[static_cast<std::size_t>(step.index < 0 ? step.index + size : step.index)];
    } else {
      if (!from.is(Value::Kind::map)) return {};
      budget.spend(1 + from.as_map().members.size() / 4);
      const Member* member = from.as_map().find(step.name);
      if (!member) return {};
      from = member->value;
    }
  }
  return from;
}

}  // namespace millrace::gateway::vtl
