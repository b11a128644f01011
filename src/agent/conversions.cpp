#include "agent/conversions.hpp"

#include <array>
#include <boost/regex.hpp>

#include "millrace/codec/json_reader.hpp"

namespace millrace::agent {

struct Pattern::Compiled {
  boost::regex regex;
};

std::string Pattern::mistake(const std::string& text) {
  try {
    const boost::regex compiled(text, boost::regex::perl);
    return {};
  } catch (const boost::regex_error& error) {
    return error.what();
  }
}
Pattern::Pattern(const std::string& text)
    : compiled_(std::make_unique<Compiled>(Compiled{boost::regex(text, boost::regex::perl)})) {}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

std::size_t Pattern::groups() const { return compiled_->regex.mark_count(); }

bool Pattern::begins(std::string_view text) const {
  try {
    return boost::regex_search(text.begin(), text.end(), compiled_->regex, boost::regex_constants::match_continuous);
  } catch (const std::runtime_error&) {  // too many steps
    return false;
  }
}

std::optional<std::vector<std::optional<std::string_view>>> Pattern::match(std::string_view text) const {
  boost::match_results<std::string_view::const_iterator> found;
  try {
    if (!boost::regex_match(text.begin(), text.end(), found, compiled_->regex)) return std::nullopt;
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
  std::vector<std::optional<std::string_view>> groups;
  for (std::size_t i = 1; i < found.size(); ++i) {
    const auto& group = found[static_cast<int>(i)];
    if (group.matched)
      groups.emplace_back(
          text.substr(static_cast<std::size_t>(group.first - text.begin()), static_cast<std::size_t>(group.length())));
    else
      groups.emplace_back(std::nullopt);
  }
  return groups;
}

namespace {

constexpr std::string_view kCommon[] = {"host", "ident", "authuser", "datetime", "request", "response", "bytes"};
constexpr std::string_view kCombined[] = {"host",     "ident", "authuser", "datetime", "request",
                                          "response", "bytes", "referrer", "agent"};
constexpr std::string_view kError[] = {"timestamp", "module", "severity", "processid", "threadid", "client", "message"};
constexpr std::string_view kSyslog[] = {"timestamp", "hostname", "program", "processid", "message"};

constexpr LogFormat kFormats[] = {
    {"COMMONAPACHELOG", R"re((\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}|-) (\d+|-))re", kCommon},
    {"COMBINEDAPACHELOG",
     R"re((\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}|-) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")re",
     kCombined},
    {"APACHEERRORLOG",
     R"re(\[([^\]]+)\] \[(?:([\w-]*):)?([\w-]+)\](?: \[pid (\d+)(?::tid (\d+))?\])?(?: \[client ([^\]]+)\])? (.*))re",
     kError},
    {"SYSLOG", R"re((?:<\d{1,3}>)?([A-Z][a-z]{2} [ \d]?\d \d{2}:\d{2}:\d{2}) (\S+) ([^\s:\[]+)(?:\[(\d+)\])?: ?(.*))re",
     kSyslog},
    {"RFC3339SYSLOG",
     R"re((?:<\d{1,3}>)?(\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})) (\S+) ([^\s:\[]+)(?:\[(\d+)\])?: ?(.*))re",
     kSyslog}};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\f\v";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

std::string_view without_line_end(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

// Bytes that are no UTF-8 become U+FFFD, so that JSON is JSON.
std::string valid(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t size = 1;
    const auto head = static_cast<unsigned char>(text[0]);
    if (head >= 0xc2) size = head < 0xe0 ? 2 : head < 0xf0 ? 3 : 4;
    const std::string_view one = text.substr(0, size);
    if (one.size() == size && codec::valid_utf8(one)) {
      out += one;
      text.remove_prefix(size);
    } else {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
    }
  }
  return out;
}

void put_member(std::string& out, std::string_view name, std::optional<std::string_view> value) {
  out += out.empty() ? '{' : ',';
  codec::json_quote(name, out);
  out += ':';
  if (!value)
    out += "null";
  else if (codec::valid_utf8(*value))
    codec::json_quote(*value, out);
  else
    codec::json_quote(valid(*value), out);
}

std::string on_one_line(std::string_view record) {
  std::string out;
  while (!record.empty()) {
    const std::size_t end = std::min(record.find('\n'), record.size());
    out += trimmed(record.substr(0, end));
    record.remove_prefix(std::min(end + 1, record.size()));
  }
  return out += '\n';
}

std::string csv_to_json(std::string_view record, const Processing& how) {
  std::string out;
  std::optional<std::string_view> rest = without_line_end(record);
  for (const std::string& name : how.field_names) {
    if (!rest) {
      put_member(out, name, std::nullopt);
      continue;
    }
    const std::size_t at = rest->find(how.delimiter);
    put_member(out, name, rest->substr(0, at));
    if (at == rest->npos)
      rest.reset();
    else
      rest->remove_prefix(at + how.delimiter.size());
  }
  return out += "}\n";
}

}  // namespace

std::span<const LogFormat> log_formats() { return kFormats; }

struct Conversions::One {
  Processing how;
  std::optional<Pattern> pattern;
};

Conversions::Conversions(const std::vector<Processing>& all) {
  for (const Processing& how : all) {
    One& one = all_.emplace_back(One{how, std::nullopt});
    if (how.kind == Processing::Kind::log_to_json) one.pattern.emplace(how.pattern);
  }
}
Conversions::~Conversions() = default;

std::optional<std::string> Conversions::apply(std::string record) const {
  for (const One& one : all_) {
    switch (one.how.kind) {
      case Processing::Kind::single_line:
        record = on_one_line(record);
        break;
      case Processing::Kind::csv_to_json:
        record = csv_to_json(record, one.how);
        break;
      case Processing::Kind::log_to_json: {
        const auto groups = one.pattern->match(without_line_end(record));
        if (!groups) return std::nullopt;
        std::string out;
        for (std::size_t i = 0; i < one.how.field_names.size(); ++i) {
          std::optional<std::string_view> value = (*groups)[i];
          if (value && (*value == "-" || value->empty())) value.reset();  // how logs say nothing
          put_member(out, one.how.field_names[i], value);
        }
        record = std::move(out += "}\n");
        break;
      }
    }
  }
  return record;
}

}  // namespace millrace::agent
