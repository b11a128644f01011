#include "gateway/vtl/lexer.hpp"

#include <algorithm>
#include <array>

#include "millrace/base/nearest.hpp"
#include "millrace/base/printable.hpp"

namespace millrace::gateway::vtl {
namespace {

// Words after '#' that mean something; the parser refuses those which are not built.
constexpr std::array<std::string_view, 13> kDirectives{"if",      "elseif",  "else",    "end",   "set",
                                                       "foreach", "break",   "stop",    "macro", "define",
                                                       "parse",   "include", "evaluate"};

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

}  // namespace

bool is_identifier_start(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
// A hyphen belongs to the name: `$elem.partition-key`.
bool is_identifier_part(char c) noexcept { return is_identifier_start(c) || is_digit(c) || c == '-'; }

std::string_view Lexer::take_identifier() noexcept {
  const std::size_t begin = at_;
  if (!is_identifier_start(look())) return {};
  while (at_ < source_.size() && is_identifier_part(source_[at_])) ++at_;
  return source_.substr(begin, at_ - begin);
}

void Lexer::pass_line_end() noexcept {
  std::size_t at = at_;
  while (at < source_.size() && (source_[at] == ' ' || source_[at] == '\t')) ++at;
  if (at < source_.size() && source_[at] == '\r') ++at;
  if (at < source_.size() && source_[at] == '\n') at_ = at + 1;
}

void Lexer::pass_blanks() noexcept {
  while (at_ < source_.size() && std::string_view(" \t\r\n").find(source_[at_]) != std::string_view::npos) ++at_;
}

// Where the directive at `at` (on its '#') ends, and its name; 0 when none stands there.
std::size_t Lexer::directive_name(std::size_t at, std::string_view& name) const {
  std::size_t begin = at + 1;
  const bool braces = begin < source_.size() && source_[begin] == '{';
  if (braces) ++begin;
  std::size_t end = begin;
  while (end < source_.size() && is_identifier_start(source_[end])) ++end;
  name = source_.substr(begin, end - begin);
  if (name.empty()) return 0;
  if (braces) {
    if (end >= source_.size() || source_[end] != '}') return 0;
    if (std::find(kDirectives.begin(), kDirectives.end(), name) == kDirectives.end()) return 0;
    return end + 1;
  }
  if (std::find(kDirectives.begin(), kDirectives.end(), name) != kDirectives.end()) return end;
  // `#elsefoo` and `#endfoo` are the directive and text; the rest of the words take an argument and must stand alone.
  for (std::string_view prefix : {"else", "end"})
    if (name.starts_with(prefix) && !name.starts_with("elseif")) {
      name = prefix;
      return begin + prefix.size();
    }
  while (end < source_.size() && is_identifier_part(source_[end])) ++end;
  if (end < source_.size() && source_[end] == '(') {
    const std::string_view word = source_.substr(begin, end - begin), near = nearest(word, kDirectives);
    throw CompileError{
        at, "#" + printable(word) + "(...) is not a directive" +
                (near.empty() ? ", and macros are not supported" : "; did you mean #" + std::string(near) + "?")};
  }
  return 0;
}

// Whether `$` at `at` begins a reference: the offset of its identifier, else 0.
std::size_t Lexer::reference_begin(std::size_t at) const noexcept {
  std::size_t i = at + 1;
  if (i < source_.size() && source_[i] == '!') ++i;
  if (i < source_.size() && source_[i] == '{') ++i;
  return i < source_.size() && is_identifier_start(source_[i]) ? i : 0;
}

TextToken Lexer::next_text() {
  const std::size_t begin = at_;
  auto text_to = [&](std::size_t end, std::size_t next) {
    at_ = next;
    return TextToken{TextTokenType::text, begin, source_.substr(begin, end - begin)};
  };
  while (at_ < source_.size()) {
    const std::size_t special = source_.find_first_of("$#", at_);
    if (special == std::string_view::npos) return text_to(source_.size(), source_.size());
    std::string_view name;
    std::size_t directive_end = 0;
    const bool reference = source_[special] == '$' && reference_begin(special) != 0;
    if (source_[special] == '#') {
      const char after = special + 1 < source_.size() ? source_[special + 1] : '\0';
      if (after == '#' || after == '*') {
        if (special > begin) return text_to(special, special);
        if (after == '#') {
          const std::size_t line_end = source_.find('\n', special);
          at_ = line_end == std::string_view::npos ? source_.size() : line_end + 1;
        } else {
          const std::size_t close = source_.find("*#", special + 2);
          if (close == std::string_view::npos) throw CompileError{special, "the comment #* is not closed by *#"};
          at_ = close + 2;
        }
        return TextToken{TextTokenType::text, special, {}};
      }
      if (after == '[' && special + 2 < source_.size() && source_[special + 2] == '[') {
        if (special > begin) return text_to(special, special);
        const std::size_t close = source_.find("]]#", special + 3);
        if (close == std::string_view::npos) throw CompileError{special, "#[[ is not closed by ]]#"};
        at_ = close + 3;
        return TextToken{TextTokenType::text, special, source_.substr(special + 3, close - special - 3)};
      }
      if (after == '@') throw CompileError{special, "#@ calls a macro with a body: macros are not supported"};
      directive_end = directive_name(special, name);
    }
    if (!reference && directive_end == 0) {
      at_ = special + 1;
      continue;
    }
    // Backslashes just before: a pair stands for one, an odd one takes the meaning from what follows.
    std::size_t slashes = 0;
    while (special > begin + slashes && source_[special - slashes - 1] == '\\') ++slashes;
    if (slashes > 0) {
      const std::size_t shown = special - slashes + slashes / 2;
      if (slashes % 2 == 0) return text_to(shown, special);
      if (shown > begin) return text_to(shown, special - 1);
      // Exactly `\$name` or `\#name` stands at the start now: only the sign is text.
      at_ = special + 1;
      if (reference) at_ = reference_begin(special);
      return TextToken{TextTokenType::text, special, source_.substr(special, at_ - special)};
    }
    if (special > begin) {
      // `#set` takes the blanks before it on its line along.
      std::size_t end = special;
      if (name == "set")
        while (end > begin && (source_[end - 1] == ' ' || source_[end - 1] == '\t')) --end;
      return text_to(end, special);
    }
    if (reference) return {TextTokenType::reference, special, {}};
    at_ = directive_end;
    return {TextTokenType::directive, special, name};
  }
  if (at_ > begin) return text_to(at_, at_);
  return {TextTokenType::end, at_, {}};
}

Token Lexer::peek() {
  const std::size_t at = at_;
  Token token = next();
  at_ = at;
  return token;
}

Token Lexer::next() {
  pass_blanks();
  const std::size_t begin = at_;
  if (at_ >= source_.size()) return {TokenType::end, begin, {}};
  auto token = [&](TokenType type, std::size_t size) {
    at_ = begin + size;
    return Token{type, begin, source_.substr(begin, size)};
  };
  const char c = source_[at_], after = look(1);
  if (is_identifier_start(c)) {
    std::string_view word = take_identifier();
    for (auto [name, type] : {std::pair{"and", TokenType::and_},
                              {"or", TokenType::or_},
                              {"not", TokenType::not_},
                              {"eq", TokenType::equal},
                              {"ne", TokenType::not_equal},
                              {"lt", TokenType::less},
                              {"le", TokenType::less_equal},
                              {"gt", TokenType::greater},
                              {"ge", TokenType::greater_equal}})
      if (word == name) return {type, begin, word};
    return {TokenType::identifier, begin, word};
  }
  if (is_digit(c)) {
    while (is_digit(look())) ++at_;
    bool real = false;
    if (look() == '.' && is_digit(look(1))) {  // `1..5` is a range
      real = true;
      ++at_;
      while (is_digit(look())) ++at_;
    }
    if ((look() == 'e' || look() == 'E') &&
        (is_digit(look(1)) || ((look(1) == '-' || look(1) == '+') && is_digit(look(2))))) {
      real = true;
      at_ += 2;
      while (is_digit(look())) ++at_;
    }
    return {real ? TokenType::real : TokenType::integer, begin, source_.substr(begin, at_ - begin)};
  }
  switch (c) {
    case '$':
      if (reference_begin(at_) == 0) throw CompileError{begin, "`$` without a name"};
      return {TokenType::reference, begin, {}};
    case '"':
    case '\'': {
      // There is no escape but the doubled quote; a backslash stands for itself.
      for (++at_; at_ < source_.size(); ++at_) {
        if (source_[at_] != c) continue;
        if (look(1) != c) {
          ++at_;
          return {c == '"' ? TokenType::interpolated : TokenType::string, begin,
                  source_.substr(begin + 1, at_ - begin - 2)};
        }
        ++at_;
      }
      throw CompileError{begin, "a quote is not closed"};
    }
    case '(':
      return token(TokenType::open, 1);
    case ')':
      return token(TokenType::close, 1);
    case '[':
      return token(TokenType::open_list, 1);
    case ']':
      return token(TokenType::close_list, 1);
    case '{':
      return token(TokenType::open_map, 1);
    case '}':
      return token(TokenType::close_map, 1);
    case ',':
      return token(TokenType::comma, 1);
    case ':':
      return token(TokenType::colon, 1);
    case '+':
      return token(TokenType::plus, 1);
    case '-':
      return token(TokenType::minus, 1);
    case '*':
      return token(TokenType::times, 1);
    case '/':
      return token(TokenType::divide, 1);
    case '%':
      return token(TokenType::modulo, 1);
    case '.':
      if (after == '.') return token(TokenType::range, 2);
      break;
    case '=':
      return after == '=' ? token(TokenType::equal, 2) : token(TokenType::assign, 1);
    case '!':
      return after == '=' ? token(TokenType::not_equal, 2) : token(TokenType::not_, 1);
    case '<':
      return after == '=' ? token(TokenType::less_equal, 2) : token(TokenType::less, 1);
    case '>':
      return after == '=' ? token(TokenType::greater_equal, 2) : token(TokenType::greater, 1);
    case '&':
      if (after == '&') return token(TokenType::and_, 2);
      break;
    case '|':
      if (after == '|') return token(TokenType::or_, 2);
      break;
    default:
      break;
  }
  throw CompileError{begin, "`" + printable(first_character(source_.substr(begin))) + "` is not expected here"};
}

}  // namespace millrace::gateway::vtl
