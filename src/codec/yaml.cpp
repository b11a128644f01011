#include "millrace/codec/yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <sstream>

#include "codec/yaml_scalar.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::codec {

/// The text as the parser is given it.
struct YamlText {
  static constexpr std::size_t kJoinedShorter = 2;

  std::string bytes;
  std::vector<std::size_t> joined;  // where an escape stands for two that are longer by kJoinedShorter

  std::size_t column(std::size_t offset) const noexcept;
  TextPlace place(std::size_t offset) const noexcept;
  TextPlace place(const YAML::Mark& mark) const noexcept;
};

namespace {

constexpr std::size_t kPathBytesMax = 300;

/// Thrown through the parser: nothing behind this place can be read.
struct Unreadable {
  TextPlace at;
  std::string what;
};

/// What no tree of values would tell: the parser's events are seen before one is built.
class Checker final : public YAML::EventHandler {
 public:
  Checker(const YamlText& text, std::vector<YamlMistake>& mistakes) : text_(text), mistakes_(mistakes) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (std::exchange(begun_, true)) stop(mark, "a second document begins here: a file holds one");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    begin(mark, {}, nullptr);
    complete(mark, anchor, {});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto target = anchors_.find(anchor);
    if (target == anchors_.end()) stop(mark, "an alias inside of what it stands for would never end");
    begin(mark, {}, nullptr);
    complete(mark, 0, target->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    begin(mark, tag, &value);
    last_scalar_ = mark;
    complete(mark, anchor, {});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, false);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, true);
  }
  void OnMapEnd() override { close(); }

  /// The parser takes the end of the text for the end of an open quote.
  void finish() const {
    if (last_scalar_.is_null()) return;
    const std::size_t begin = yaml::scalar_begin(text_.bytes, static_cast<std::size_t>(last_scalar_.pos));
    if (yaml::unclosed(text_.bytes, begin))
      throw Unreadable{text_.place(begin), "the quote that opens here is not closed"};
  }

 private:
  /// Of a subtree, aliases as what they stand for.
  struct Extent {
    std::size_t nodes = 1, height = 1;
  };
  struct Open {
    YAML::Mark mark;
    YAML::anchor_t anchor;
    bool map;
    bool at_name = true;  // in a map: a name comes next
    std::string name;     // of the value that comes next or is under way
    std::size_t index = 0;
    std::map<std::string, std::size_t, std::less<>> lines;  // by name
    Extent extent;
  };

  [[noreturn]] void stop(const YAML::Mark& mark, std::string what) const {
    throw Unreadable{text_.place(mark), std::move(what)};
  }
  void mistake(const YAML::Mark& mark, std::string path, std::string what) {
    if (mistakes_.size() < YamlDocument::kMistakesMax)
      mistakes_.push_back({text_.place(mark), printable(path, kPathBytesMax), std::move(what)});
  }

  // `name`: of a member of the innermost map, instead of the one under way.
  std::string path(const std::string* name) const {
    std::string out;
    for (const Open& each : open_) {
      if (!each.map) {
        out += "[" + std::to_string(each.index) + "]";
        continue;
      }
      const bool innermost = &each == &open_.back();
      const std::string& member = innermost && name ? *name : each.name;
      if (innermost && each.at_name && !name) break;
      out += (out.empty() ? "" : ".") + printable(member);
    }
    return out;
  }

  void begin(const YAML::Mark& mark, const std::string& tag, const std::string* scalar) {
    const bool name = !open_.empty() && open_.back().map && open_.back().at_name;
    if (name) take_name(mark, tag, scalar);
    if (tag.empty() || tag == "?" || tag == "!" || tag == "tag:yaml.org,2002:str") return;
    mistake(mark, path(name ? scalar : nullptr), "YAML tags are not supported: write the value itself");
  }

  void take_name(const YAML::Mark& mark, const std::string& tag, const std::string* scalar) {
    Open& map = open_.back();
    map.name = scalar ? *scalar : std::string();
    if (!scalar) return mistake(mark, path(nullptr), "the name of a member must be a plain text");
    if (*scalar == "<<" && tag == "?")
      return mistake(mark, path(nullptr), "YAML merge keys (<<) are not supported: write the members out");
    auto [first, fresh] = map.lines.emplace(*scalar, static_cast<std::size_t>(mark.line) + 1);
    if (!fresh) mistake(mark, path(scalar), "is given twice, first in line " + std::to_string(first->second));
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, bool map) {
    begin(mark, tag, nullptr);
    if (open_.size() >= YamlDocument::kDepthMax) too_deep(mark);
    open_.push_back({mark, anchor, map, true, {}, 0, {}, {}});
  }

  void close() {
    const Open done = std::move(open_.back());
    open_.pop_back();
    complete(done.mark, done.anchor, done.extent);
  }

  void complete(const YAML::Mark& mark, YAML::anchor_t anchor, Extent extent) {
    if (anchor != 0) anchors_[anchor] = extent;
    if (open_.size() + extent.height > YamlDocument::kDepthMax + 1) too_deep(mark);
    if (open_.empty()) return;
    Open& in = open_.back();
    in.extent.nodes += extent.nodes;
    in.extent.height = std::max(in.extent.height, extent.height + 1);
    if (in.extent.nodes > YamlDocument::kNodesMax)
      stop(mark, "holds more than " + std::to_string(YamlDocument::kNodesMax) +
                     " values, those of an alias counted as often as it is used");
    if (!in.map)
      ++in.index;
    else
      in.at_name = !in.at_name;
  }

  [[noreturn]] void too_deep(const YAML::Mark& mark) const {
    stop(mark, "nests deeper than " + std::to_string(YamlDocument::kDepthMax) + " levels");
  }

  const YamlText& text_;
  std::vector<YamlMistake>& mistakes_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Extent> anchors_;  // of those that are complete
  YAML::Mark last_scalar_ = YAML::Mark::null_mark();
  bool begun_ = false;
};

/// The parser's words for those who do not know its grammar.
std::string explained(const std::string& message, std::string_view line, bool flow) {
  namespace msg = YAML::ErrorMsg;
  const std::size_t indentation = std::min(line.find_first_not_of(" \t"), line.size());
  const bool tab = !flow && line.substr(0, indentation).find('\t') != std::string_view::npos;
  for (const char* by_indentation :
       {msg::TAB_IN_INDENTATION, msg::MAP_VALUE, msg::MAP_KEY, msg::END_OF_MAP, msg::END_OF_SEQ, msg::BLOCK_ENTRY})
    if (tab && message == by_indentation) return "the line is indented with a tab: YAML takes only spaces";
  static const std::map<std::string, std::string, std::less<>> words{
      {msg::MAP_VALUE,
       "`:` is not expected here: a line may be indented wrongly, a `:` before may lack the space behind it, or a "
       "value "
       "with `: ` in it may lack its quotes"},
      {msg::MAP_KEY, "a name is not expected here: the line may be indented wrongly"},
      {msg::END_OF_MAP, "this does not go on as the lines before: it may be indented wrongly, or a `:` may be missing"},
      {msg::END_OF_SEQ, "this does not go on as the list before: it may be indented wrongly, or a `-` may be missing"},
      {msg::END_OF_MAP_FLOW, "`,` or `}` is expected here"},
      {msg::END_OF_SEQ_FLOW, "`,` or `]` is expected here"},
      {msg::FLOW_END, "a bracket closes here that was not opened"},
      {msg::BLOCK_ENTRY, "a list's `-` begins a line of its own"},
      {msg::UNKNOWN_TOKEN, "a value that begins with this character must be in quotes"},
      {msg::UNKNOWN_ANCHOR, "there is no anchor (&name) before for this alias"},
      {msg::CHAR_IN_BLOCK,
       "behind `|` or `>` may stand an indicator such as `-` or `2`, and the text begins in the next line"},
      {msg::TAB_IN_INDENTATION, "the line is indented with a tab: YAML takes only spaces"},
  };
  if (auto found = words.find(message); found != words.end()) return found->second;
  if (message.starts_with(msg::INVALID_ESCAPE))
    return "`\\" + printable(message.substr(std::string_view(msg::INVALID_ESCAPE).size())) +
           "` is no escape in double quotes: write `\\\\` for a backslash, or use single quotes";
  if (message.starts_with(msg::INVALID_UNICODE)) return "this `\\u` escape is not a character";
  return printable(message, 200);
}

/// The first byte that no text has, and why.
std::optional<std::pair<std::size_t, std::string>> not_text(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at)
    if (static_cast<unsigned char>(text[at]) < 0x20 && text[at] != '\n' && text[at] != '\r' && text[at] != '\t')
      return std::pair{at, std::string("is not text: it has control characters")};
  if (valid_utf8(text)) return std::nullopt;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (!valid_utf8(text.substr(at, size))) break;
    at += size;
  }
  return std::pair{at, std::string("is not UTF-8 text")};
}

/// JSON writes a character beyond the 16-bit range as two escapes, which YAML does not know.
void join_surrogates(YamlText& source) {
  const std::string& text = source.bytes;
  const auto unit = [&](std::size_t at) -> unsigned {
    unsigned value = 0;
    if (text.compare(at, 2, "\\u") != 0 || at + 6 > text.size()) return 0;
    auto [end, error] = std::from_chars(text.data() + at + 2, text.data() + at + 6, value, 16);
    return end == text.data() + at + 6 ? value : 0;
  };
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const unsigned high = text[at] == '\\' ? unit(at) : 0;
    const unsigned low = high >= 0xd800 && high < 0xdc00 ? unit(at + 6) : 0;
    if (low >= 0xdc00 && low < 0xe000) {
      char digits[8];
      const unsigned code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
      char* end = std::to_chars(digits, digits + sizeof digits, code, 16).ptr;
      source.joined.push_back(out.size());
      out.append("\\U")
          .append(8 - static_cast<std::size_t>(end - digits), '0')
          .append(digits, static_cast<std::size_t>(end - digits));
      at += 12;
      continue;
    }
    const std::size_t size = text[at] == '\\' ? 2 : 1;  // `\\u` is a backslash and a u
    out.append(text, at, size);
    at += size;
  }
  source.bytes = std::move(out);
}

}  // namespace

TextPlace place_of(std::string_view text, std::size_t offset) noexcept {
  text = text.substr(0, offset);
  const std::size_t line_begin = text.rfind('\n') + 1;
  return {static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1,
          code_points(text.substr(line_begin)) + 1};
}

std::size_t YamlText::column(std::size_t offset) const noexcept {
  const std::string_view before = std::string_view(bytes).substr(0, offset);
  const std::size_t line_begin = before.rfind('\n') + 1;
  const auto first = std::lower_bound(joined.begin(), joined.end(), line_begin);
  const auto here = static_cast<std::size_t>(std::lower_bound(first, joined.end(), offset) - first);
  return code_points(before.substr(line_begin)) + 1 + kJoinedShorter * here;
}

TextPlace YamlText::place(std::size_t offset) const noexcept { return {place_of(bytes, offset).line, column(offset)}; }

TextPlace YamlText::place(const YAML::Mark& mark) const noexcept {
  if (mark.is_null()) return {};
  return {static_cast<std::size_t>(mark.line) + 1, column(static_cast<std::size_t>(mark.pos))};
}

YamlDocument::YamlDocument(std::string text)
    : text_(std::make_unique<YamlText>()), root_(std::make_unique<YAML::Node>()) {
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  text_->bytes = std::move(text);
  try {
    if (auto bad = not_text(text_->bytes)) throw Unreadable{text_->place(bad->first), bad->second};
    check_and_load();
    readable_ = true;
  } catch (Unreadable& unreadable) {
    mistakes_.assign(1, {unreadable.at, {}, std::move(unreadable.what)});
    *root_ = YAML::Node();
  }
}

void YamlDocument::check_and_load() {
  std::string& bytes = text_->bytes;
  const std::size_t first = std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size());
  const bool json = first < bytes.size() && (bytes[first] == '{' || bytes[first] == '[');
  if (json) join_surrogates(*text_);
  try {
    std::istringstream in(bytes);
    YAML::Parser parser(in);
    Checker checker(*text_, mistakes_);
    while (parser.HandleNextDocument(checker)) {
    }
    checker.finish();
    *root_ = YAML::Load(bytes);
  } catch (const YAML::Exception& error) {
    std::string_view line = bytes;
    if (!error.mark.is_null()) {
      const auto position = std::min(static_cast<std::size_t>(error.mark.pos), bytes.size());
      line.remove_prefix(position - std::min(static_cast<std::size_t>(error.mark.column), position));
    }
    line = line.substr(0, line.find('\n'));
    throw Unreadable{text_->place(error.mark),
                     (json ? "not valid JSON: " : "not valid YAML: ") + explained(error.msg, line, json)};
  }
}

YamlDocument::YamlDocument(YamlDocument&&) noexcept = default;
YamlDocument& YamlDocument::operator=(YamlDocument&&) noexcept = default;
YamlDocument::~YamlDocument() = default;

TextPlace YamlDocument::place(const YAML::Node& node) const noexcept { return text_->place(node.Mark()); }

std::optional<TextPlace> YamlDocument::place_in(const YAML::Node& scalar, std::size_t offset) const {
  const YAML::Mark mark = scalar.Mark();
  if (mark.is_null() || !scalar.IsScalar()) return std::nullopt;
  const std::size_t begin = yaml::scalar_begin(text_->bytes, static_cast<std::size_t>(mark.pos));
  auto at = yaml::source_offset(text_->bytes, begin, scalar.Scalar(), offset);
  if (!at) return std::nullopt;
  return text_->place(*at);
}

std::vector<std::pair<YAML::Node, YAML::Node>> YamlDocument::members(const YAML::Node& map) {
  std::vector<std::pair<YAML::Node, YAML::Node>> all;
  std::set<std::string_view> names;
  if (!map.IsMap()) return all;
  for (const auto& member : map) {
    if (!member.first.IsScalar() || (member.first.Scalar() == "<<" && member.first.Tag() == "?")) continue;
    all.emplace_back(member.first, member.second);
    if (!names.insert(all.back().first.Scalar()).second) all.pop_back();
  }
  return all;
}

}  // namespace millrace::codec
