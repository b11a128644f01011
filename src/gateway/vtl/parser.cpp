#include "gateway/vtl/parser.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

namespace millrace::gateway::vtl {
namespace {

constexpr int kBlockDepthMax = 100;
constexpr int kExpressionDepthMax = 60;            // open parentheses, brackets and arguments
constexpr std::size_t kExpressionHeightMax = 500;  // of the tree that an evaluation descends
constexpr int kInterpolationDepthMax = 8;

/// What a template and the texts interpolated in it have in common.
struct Scope {
  std::map<std::string, std::size_t, std::less<>> slots;
  std::size_t loops = 0;  // #foreach around the current place
  std::size_t loops_max = 0;
  int interpolations = 0;

  std::size_t slot(std::string_view name) {
    auto found = slots.find(name);
    if (found == slots.end()) found = slots.emplace(std::string(name), slots.size()).first;
    return found->second;
  }
};

struct Accessor {
  enum class Type { property, index, method } type;
  std::size_t offset;
  std::string name;                      // property, method
  std::vector<ExpressionPtr> arguments;  // index: one
  std::optional<std::string> key() const {
    if (type == Type::property) return name;
    if (type == Type::index && arguments[0]->constant_text()) return *arguments[0]->constant_text();
    return std::nullopt;
  }
};

struct Reference {
  std::size_t offset;
  std::string name;
  std::vector<Accessor> accessors;
};

bool is_reserved(std::string_view name) noexcept {
  return name == "input" || name == "util" || name == "context" || name == "stageVariables" || name == "foreach";
}

class Parser {
 public:
  Parser(std::string_view source, std::size_t at, Scope& scope) : lexer_(source, at), scope_(scope) {}

  Block whole() {
    Block block;
    TextToken end = statements(block);
    if (end.type != TextTokenType::end)
      throw CompileError{end.offset, "#" + std::string(end.text) + " without #if or #foreach"};
    return block;
  }

 private:
  using Type = TokenType;

  [[noreturn]] void error(std::size_t offset, std::string what) const { throw CompileError{offset, std::move(what)}; }

  // Until the end of the template or a directive that ends a block, which is returned.
  TextToken statements(Block& block) {
    if (++block_depth_ > kBlockDepthMax) error(lexer_.offset(), "blocks are nested too deeply");
    for (;;) {
      TextToken token = lexer_.next_text();
      switch (token.type) {
        case TextTokenType::text:
          block.add_text(token.text);
          break;
        case TextTokenType::reference:
          block.add(make_output(build(reference())));
          break;
        case TextTokenType::directive:
          if (token.text == "end" || token.text == "else" || token.text == "elseif") {
            --block_depth_;
            return token;
          }
          block.add(directive(token));
          break;
        case TextTokenType::end:
          --block_depth_;
          return token;
      }
    }
  }

  StatementPtr directive(const TextToken& token) {
    if (token.text == "set") return set(token);
    if (token.text == "if") return branches(token);
    if (token.text == "foreach") return loop(token);
    if (token.text == "break") {
      if (scope_.loops == 0) error(token.offset, "#break outside of #foreach");
      lexer_.pass_line_end();
      return make_break();
    }
    error(token.offset, "#" + std::string(token.text) + " is not supported");
  }

  void open(const TextToken& token) {
    Token paren = lexer_.next();
    if (paren.type != Type::open)
      error(token.offset, "#" + std::string(token.text) + " takes its argument in parentheses");
  }
  // `opened`: what this closes, `#if(` or `(`.
  void close(const std::string& opened) {
    Token paren = lexer_.next();
    if (paren.type != Type::close) error(paren.offset, "`)` expected to close `" + opened + "`");
  }

  StatementPtr branches(const TextToken& begin) {
    std::vector<Branch> branches;
    TextToken head = begin;
    for (;;) {
      Branch branch;
      if (head.text != "else") {
        open(head);
        branch.condition = expression();
        close("#" + std::string(head.text) + "(");
      }
      lexer_.pass_line_end();
      TextToken end = statements(branch.block);
      const bool otherwise = !branch.condition;
      branches.push_back(std::move(branch));
      if (end.type == TextTokenType::end) error(begin.offset, "#if without #end");
      if (end.text == "end") break;
      if (otherwise) error(end.offset, "#" + std::string(end.text) + " after #else");
      head = end;
    }
    lexer_.pass_line_end();
    return make_if(std::move(branches));
  }

  StatementPtr loop(const TextToken& begin) {
    open(begin);
    lexer_.pass_blanks();
    Reference element = reference();
    if (!element.accessors.empty()) error(element.offset, "#foreach takes a plain name: `#foreach($name in ...)`");
    if (is_reserved(element.name)) error(element.offset, "$" + element.name + " cannot be set");
    Token in = lexer_.next();
    if (in.type != Type::identifier || in.text != "in") error(in.offset, "`in` expected");
    ExpressionPtr over = expression();
    close("#foreach(");
    lexer_.pass_line_end();
    const std::size_t depth = scope_.loops++;
    scope_.loops_max = std::max(scope_.loops_max, scope_.loops);
    Block block;
    TextToken end = statements(block);
    --scope_.loops;
    if (end.type == TextTokenType::end) error(begin.offset, "#foreach without #end");
    if (end.text != "end") error(end.offset, "#" + std::string(end.text) + " without #if");
    lexer_.pass_line_end();
    return make_foreach(scope_.slot(element.name), depth, std::move(over), std::move(block));
  }

  StatementPtr set(const TextToken& begin) {
    open(begin);
    lexer_.pass_blanks();
    Reference target = reference();
    Token assign = lexer_.next();
    if (assign.type != Type::assign) error(assign.offset, "`=` expected");
    ExpressionPtr value = expression();
    close("#set(");
    lexer_.pass_line_end();
    if (target.name == "context") return set_context(target, std::move(value));
    if (is_reserved(target.name)) error(target.offset, "$" + target.name + " cannot be set");
    if (target.accessors.empty()) return make_set_variable(scope_.slot(target.name), std::move(value));
    Accessor last = std::move(target.accessors.back());
    target.accessors.pop_back();
    if (last.type == Accessor::Type::method) error(last.offset, "a method's result cannot be set");
    ExpressionPtr key =
        last.type == Accessor::Type::property ? make_constant_text(last.name) : std::move(last.arguments[0]);
    return make_set_member(build(std::move(target)), std::move(key), std::move(value));
  }

  StatementPtr set_context(Reference& target, ExpressionPtr value) {
    auto& path = target.accessors;
    if (!path.empty() && path[0].key() == "requestOverride")
      error(target.offset, "$context.requestOverride is not supported");
    if (path.size() == 2 && path[0].key() == "responseOverride" && path[1].key() == "status")
      return make_set_status(std::move(value));
    if (path.size() == 3 && path[0].key() == "responseOverride" && path[1].key() == "header" &&
        path[2].type != Accessor::Type::method) {
      ExpressionPtr name;
      if (auto known = path[2].key()) {
        if (!is_header_name(*known)) error(path[2].offset, "`" + *known + "` is not a header name");
        name = make_constant_text(*known);
      } else {
        name = std::move(path[2].arguments[0]);
      }
      return make_set_header(std::move(name), std::move(value));
    }
    error(target.offset, "of $context only responseOverride.status and responseOverride.header.<name> can be set");
  }

  // --- references: the lexer stands on `$`; blanks count ---

  Reference reference() {
    Reference result{lexer_.offset(), {}, {}};
    if (!lexer_.take('$')) error(result.offset, "a reference such as $name is expected");
    lexer_.take('!');
    const bool braces = lexer_.take('{');
    std::size_t highest = 0;
    result.name = lexer_.take_identifier();
    if (result.name.empty()) error(result.offset, "`$` without a name");
    for (;;) {
      const std::size_t offset = lexer_.offset();
      if (lexer_.look() == '.' && is_identifier_start(lexer_.look(1))) {
        lexer_.take('.');
        Accessor accessor{Accessor::Type::property, offset + 1, std::string(lexer_.take_identifier()), {}};
        if (lexer_.take('(')) {
          accessor.type = Accessor::Type::method;
          accessor.arguments = arguments();
          highest = std::max(highest, height_);
        }
        result.accessors.push_back(std::move(accessor));
      } else if (lexer_.look() == '[') {
        lexer_.take('[');
        Accessor accessor{Accessor::Type::index, offset, {}, {}};
        accessor.arguments.push_back(expression());
        highest = std::max(highest, height_);
        Token close = lexer_.next();
        if (close.type != Type::close_list) error(close.offset, "`]` expected");
        result.accessors.push_back(std::move(accessor));
      } else {
        break;
      }
      if (result.accessors.size() > kExpressionHeightMax) error(result.offset, "the expression is too long");
    }
    if (braces && !lexer_.take('}')) error(lexer_.offset(), "`}` expected after ${" + result.name);
    height_ = highest;
    return result;
  }

  std::vector<ExpressionPtr> arguments() {
    std::vector<ExpressionPtr> list;
    std::size_t highest = 0;
    if (lexer_.peek().type == Type::close) {
      lexer_.next();
      height_ = 0;
      return list;
    }
    for (;;) {
      list.push_back(expression());
      highest = std::max(highest, height_);
      Token token = lexer_.next();
      if (token.type == Type::close) break;
      if (token.type != Type::comma) error(token.offset, "`,` or `)` expected");
    }
    height_ = highest;
    return list;
  }

  ExpressionPtr build(Reference reference) {
    std::size_t used = 0;
    ExpressionPtr built = root(reference, used);
    for (; used < reference.accessors.size(); ++used) built = access(std::move(built), reference.accessors[used]);
    // Every accessor is a level, and arguments hang below.
    height_ += reference.accessors.size() + 1;
    if (height_ > kExpressionHeightMax) error(reference.offset, "the expression is too long");
    return built;
  }

  ExpressionPtr access(ExpressionPtr of, Accessor& accessor) {
    switch (accessor.type) {
      case Accessor::Type::property:
        return make_property(std::move(of), std::move(accessor.name));
      case Accessor::Type::index:
        return make_index(std::move(of), std::move(accessor.arguments[0]));
      case Accessor::Type::method:
        break;
    }
    const MethodShape* shape = find_method(accessor.name);
    if (!shape) error(accessor.offset, "the method " + accessor.name + "() is not supported");
    const std::size_t count = accessor.arguments.size();
    if (count < shape->arguments_min || count > shape->arguments_max)
      error(accessor.offset, accessor.name + "()" + takes(shape->arguments_min, shape->arguments_max, count));
    if (shape->method == Method::replace_all || shape->method == Method::split)
      make_literal(accessor, 0, literal_pattern);
    if (shape->method == Method::replace_all) make_literal(accessor, 1, literal_replacement);
    return make_method(std::move(of), shape->method, std::move(accessor.arguments));
  }

  void make_literal(Accessor& accessor, std::size_t i, std::optional<std::string> (*undo)(std::string_view)) {
    const std::string* text = accessor.arguments[i]->constant_text();
    std::optional<std::string> literal = text ? undo(*text) : std::nullopt;
    if (!literal)
      error(accessor.offset, accessor.name +
                                 "() is supported for a constant plain text only, not for regular expressions; special "
                                 "characters are written with a backslash before them");
    accessor.arguments[i] = make_constant_text(std::move(*literal));
  }

  // " takes 1 argument, not 2"
  static std::string takes(std::size_t least, std::size_t most, std::size_t count) {
    const std::string wanted =
        least == most ? std::to_string(least) : std::to_string(least) + " or " + std::to_string(most);
    return " takes " + (most == 0 ? "no" : wanted) + (most == 1 ? " argument, not " : " arguments, not ") +
           std::to_string(count);
  }

  void count_arguments(const Accessor& accessor, std::string_view owner, std::size_t least, std::size_t most) const {
    const std::size_t count = accessor.arguments.size();
    if (count < least || count > most)
      error(accessor.offset, "$" + std::string(owner) + "." + accessor.name + "()" + takes(least, most, count));
  }

  ExpressionPtr root(Reference& reference, std::size_t& used) {
    auto& accessors = reference.accessors;
    if (reference.name == "input") return input(reference, used);
    if (reference.name == "util") {
      if (accessors.empty() || accessors[0].type != Accessor::Type::method)
        error(reference.offset, "$util is used as $util.function(...)");
      auto function = find_util_function(accessors[0].name);
      if (!function) error(accessors[0].offset, "$util." + accessors[0].name + "() is not supported");
      count_arguments(accessors[0], "util", 1, 1);
      used = 1;
      return make_util(*function, std::move(accessors[0].arguments[0]));
    }
    if (reference.name == "context") return context(reference, used);
    if (reference.name == "stageVariables") return make_empty_map();
    if (reference.name == "foreach") {
      if (scope_.loops == 0) error(reference.offset, "$foreach outside of #foreach");
      static constexpr std::array<std::pair<std::string_view, LoopProperty>, 5> kProperties{
          {{"hasNext", LoopProperty::has_next},
           {"index", LoopProperty::index},
           {"count", LoopProperty::count},
           {"first", LoopProperty::first},
           {"last", LoopProperty::last}}};
      if (!accessors.empty())
        for (const auto& [name, property] : kProperties) {
          const bool called = accessors[0].type == Accessor::Type::method && accessors[0].arguments.empty();
          if (accessors[0].name == name && (accessors[0].type == Accessor::Type::property || called)) {
            used = 1;
            return make_loop_property(scope_.loops - 1, property);
          }
        }
      error(reference.offset, "of $foreach there are hasNext, index, count, first and last");
    }
    if (reference.name == "velocityCount" && scope_.loops > 0)
      return make_loop_property(scope_.loops - 1, LoopProperty::count);
    return make_variable(scope_.slot(reference.name));
  }

  ExpressionPtr input(Reference& reference, std::size_t& used) {
    auto& accessors = reference.accessors;
    if (accessors.empty())
      error(reference.offset, "$input is used as $input.json(...), .path(...), .params(...) or .body");
    Accessor& first = accessors[0];
    used = 1;
    if (first.type == Accessor::Type::property && first.name == "body") return make_input_body();
    if (first.type == Accessor::Type::method && first.name == "params") {
      count_arguments(first, "input", 0, 1);
      return make_input_params(first.arguments.empty() ? nullptr : std::move(first.arguments[0]));
    }
    if (first.type != Accessor::Type::method || (first.name != "json" && first.name != "path"))
      error(first.offset, "$input has json(...), path(...), params(...) and body");
    count_arguments(first, "input", 1, 1);
    std::optional<JsonPath> path;
    if (const std::string* text = first.arguments[0]->constant_text()) {
      std::string problem;
      path = JsonPath::parse(*text, problem);
      if (!path) error(first.offset, std::move(problem));
    }
    return first.name == "json" ? make_input_json(std::move(path), std::move(first.arguments[0]))
                                : make_input_path(std::move(path), std::move(first.arguments[0]));
  }

  ExpressionPtr context(Reference& reference, std::size_t& used) {
    auto& accessors = reference.accessors;
    std::vector<std::string> names;
    for (const Accessor& accessor : accessors) {
      auto key = accessor.key();
      if (!key) break;
      names.push_back(std::move(*key));
    }
    if (names.empty()) error(reference.offset, "$context is used as $context.name");
    if (names[0] == "requestOverride") error(reference.offset, "$context.requestOverride is not supported");
    std::string joined;
    for (std::size_t i = 0; i < names.size(); ++i) {
      joined += (i ? "." : "") + names[i];
      if (auto variable = find_context_variable(joined)) {
        used = i + 1;
        return make_context_variable(*variable);
      }
      if (i == 2 && joined.starts_with("responseOverride.header.")) {
        used = 3;
        return make_response_header(make_constant_text(names[2]));
      }
    }
    // What the service knows but has no value here (authorizers, client certificates) is empty, as there.
    used = names.size();
    return make_constant(Value());
  }

  // --- expressions ---

  struct Level {
    std::vector<std::pair<Type, BinaryOperator>> operators;
  };
  static const std::vector<Level>& levels() {
    using enum BinaryOperator;
    static const std::vector<Level> all{
        {{{Type::or_, or_}}},
        {{{Type::and_, and_}}},
        {{{Type::equal, equal}, {Type::not_equal, not_equal}}},
        {{{Type::less, less},
          {Type::less_equal, less_equal},
          {Type::greater, greater},
          {Type::greater_equal, greater_equal}}},
        {{{Type::plus, plus}, {Type::minus, minus}}},
        {{{Type::times, times}, {Type::divide, divide}, {Type::modulo, modulo}}},
    };
    return all;
  }

  ExpressionPtr expression() {
    if (++expression_depth_ > kExpressionDepthMax) error(lexer_.offset(), "the expression is nested too deeply");
    ExpressionPtr built = binary(0);
    --expression_depth_;
    return built;
  }

  ExpressionPtr binary(std::size_t level) {
    if (level == levels().size()) return unary();
    ExpressionPtr left = binary(level + 1);
    for (;;) {
      const Token token = lexer_.peek();
      const auto& operators = levels()[level].operators;
      auto found =
          std::find_if(operators.begin(), operators.end(), [&](const auto& o) { return o.first == token.type; });
      if (found == operators.end()) return left;
      lexer_.next();
      const std::size_t left_height = height_;
      ExpressionPtr right = binary(level + 1);
      height_ = std::max(left_height, height_) + 1;
      if (height_ > kExpressionHeightMax) error(token.offset, "the expression is too long");
      left = make_binary(found->second, std::move(left), std::move(right));
    }
  }

  ExpressionPtr unary() {
    const Token token = lexer_.peek();
    if (token.type != Type::not_ && token.type != Type::minus) return primary();
    lexer_.next();
    if (++expression_depth_ > kExpressionDepthMax) error(token.offset, "the expression is nested too deeply");
    ExpressionPtr of = unary();
    --expression_depth_;
    ++height_;
    return token.type == Type::not_ ? make_not(std::move(of)) : make_negative(std::move(of));
  }

  ExpressionPtr primary() {
    const Token token = lexer_.next();
    const std::size_t height = 1;
    switch (token.type) {
      case Type::reference: {
        lexer_.move_to(token.offset);
        return build(reference());
      }
      case Type::integer: {
        std::int64_t number = 0;
        auto [end, failed] = std::from_chars(token.text.data(), token.text.data() + token.text.size(), number);
        if (failed != std::errc{}) error(token.offset, "the number is too large");
        height_ = height;
        return make_constant(Value::integer(number));
      }
      case Type::real: {
        double number = 0;
        auto [end, failed] = std::from_chars(token.text.data(), token.text.data() + token.text.size(), number);
        if (failed != std::errc{}) error(token.offset, "the number is too large or too small");
        height_ = height;
        return make_constant(Value::real(number));
      }
      case Type::string:
        height_ = height;
        return make_constant_text(without_doubled(token.text, '\''));
      case Type::interpolated:
        return interpolated(token);
      case Type::identifier:
        height_ = height;
        if (token.text == "true") return make_constant(Value::boolean(true));
        if (token.text == "false") return make_constant(Value::boolean(false));
        if (token.text == "null") return make_constant(Value());
        error(token.offset, "`" + std::string(token.text) + "` is not expected here; a variable is written $" +
                                std::string(token.text));
      case Type::open: {
        ExpressionPtr inner = expression();
        close("(");
        return inner;
      }
      case Type::open_list:
        return list();
      case Type::open_map:
        return map();
      case Type::end:
        error(token.offset, "the template ends inside of an expression");
      default:
        error(token.offset, "`" + std::string(token.text) + "` is not expected here");
    }
  }

  ExpressionPtr list() {
    std::vector<ExpressionPtr> items;
    std::size_t highest = 0;
    if (lexer_.peek().type == Type::close_list) {
      lexer_.next();
      height_ = 1;
      return make_list({});
    }
    for (;;) {
      items.push_back(expression());
      highest = std::max(highest, height_);
      const Token token = lexer_.next();
      if (token.type == Type::range && items.size() == 1) {
        ExpressionPtr to = expression();
        height_ = std::max(highest, height_) + 1;
        const Token close = lexer_.next();
        if (close.type != Type::close_list) error(close.offset, "`]` expected");
        return make_range(std::move(items[0]), std::move(to));
      }
      if (token.type == Type::close_list) break;
      if (token.type != Type::comma) error(token.offset, "`,` or `]` expected");
    }
    height_ = highest + 1;
    return make_list(std::move(items));
  }

  ExpressionPtr map() {
    std::vector<std::pair<ExpressionPtr, ExpressionPtr>> members;
    std::size_t highest = 0;
    if (lexer_.peek().type == Type::close_map) {
      lexer_.next();
      height_ = 1;
      return make_map({});
    }
    for (;;) {
      ExpressionPtr key = expression();
      highest = std::max(highest, height_);
      const Token colon = lexer_.next();
      if (colon.type != Type::colon) error(colon.offset, "`:` expected");
      ExpressionPtr value = expression();
      highest = std::max(highest, height_);
      members.emplace_back(std::move(key), std::move(value));
      const Token token = lexer_.next();
      if (token.type == Type::close_map) break;
      if (token.type != Type::comma) error(token.offset, "`,` or `}` expected");
    }
    height_ = highest + 1;
    return make_map(std::move(members));
  }

  static std::string without_doubled(std::string_view text, char quote) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      out += text[i];
      if (text[i] == quote) ++i;  // the lexer took quotes in pairs only
    }
    return out;
  }

  // A text in double quotes is a template of its own.
  ExpressionPtr interpolated(const Token& token) {
    height_ = 1;
    if (token.text.find_first_of("$#") == std::string_view::npos)
      return make_constant_text(without_doubled(token.text, '"'));
    if (++scope_.interpolations > kInterpolationDepthMax) error(token.offset, "texts are nested too deeply");
    Block block;
    if (token.text.find('"') == std::string_view::npos) {
      // Read in place, so that errors have their place.
      const std::size_t begin = token.offset + 1;
      block = Parser(lexer_.source().substr(0, begin + token.text.size()), begin, scope_).whole();
    } else {
      const std::string undoubled = without_doubled(token.text, '"');
      try {
        block = Parser(undoubled, 0, scope_).whole();
      } catch (const CompileError& inside) {
        error(token.offset, inside.what);
      }
    }
    --scope_.interpolations;
    height_ = 1;
    // `"$.a"` has no reference in it: known now, and what is wrong with it is told now.
    if (const std::string* text = block.only_text()) return make_constant_text(*text);
    return make_interpolated(std::move(block));
  }

  Lexer lexer_;
  Scope& scope_;
  int block_depth_ = 0, expression_depth_ = 0;
  std::size_t height_ = 0;  // of the expression built last
};

}  // namespace

std::unique_ptr<const Program> parse(std::string_view source) {
  Scope scope;
  auto program = std::make_unique<Program>();
  program->body = Parser(source, 0, scope).whole();
  program->variables = scope.slots.size();
  program->loop_depth = scope.loops_max;
  return program;
}

}  // namespace millrace::gateway::vtl
