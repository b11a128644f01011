#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/vtl/template.hpp"

namespace millrace::gateway::vtl {

/// Thrown by the lexer and the parser, caught in Template::compile.
struct CompileError {
  std::size_t offset;
  std::string what;
};

enum class TextTokenType { text, reference, directive, end };

/// Outside of directives' arguments a template is text with references and directives in it.
struct TextToken {
  TextTokenType type = TextTokenType::end;
  std::size_t offset = 0;
  std::string_view text;  ///< the text itself, or a directive's name without `#` and braces
};

enum class TokenType {
  identifier,
  reference,
  integer,
  real,
  string,
  interpolated,  // reference: the lexer stands on its `$`
  open,
  close,
  open_list,
  close_list,
  open_map,
  close_map,
  comma,
  colon,
  range,
  assign,
  or_,
  and_,
  not_,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  plus,
  minus,
  times,
  divide,
  modulo,
  end
};

struct Token {
  TokenType type = TokenType::end;
  std::size_t offset = 0;
  std::string_view text;  ///< between the quotes for strings
};

/// Which of the two forms comes next depends on where the parser stands, so it asks for the one or the other.
class Lexer {
 public:
  explicit Lexer(std::string_view source, std::size_t at = 0) : source_(source), at_(at) {}

  TextToken next_text();
  /// Of an expression; blanks are passed over.
  Token next();
  Token peek();

  /// The characters themselves, for references: blanks count there.
  char look(std::size_t ahead = 0) const noexcept { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  bool take(char c) noexcept {
    if (look() != c || at_ >= source_.size()) return false;
    ++at_;
    return true;
  }
  /// Empty when none stands here.
  std::string_view take_identifier() noexcept;
  std::size_t offset() const noexcept { return at_; }
  void move_to(std::size_t offset) noexcept { at_ = offset; }
  std::string_view source() const noexcept { return source_; }
  /// After a directive: the blanks behind it and the line's end belong to it.
  void pass_line_end() noexcept;
  void pass_blanks() noexcept;

 private:
  std::size_t directive_name(std::size_t at, std::string_view& name) const;
  std::size_t reference_begin(std::size_t at) const noexcept;

  std::string_view source_;
  std::size_t at_;
};

bool is_identifier_start(char c) noexcept;
bool is_identifier_part(char c) noexcept;

}  // namespace millrace::gateway::vtl
