#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/vtl/json_path.hpp"
#include "gateway/vtl/methods.hpp"
#include "gateway/vtl/template.hpp"
#include "gateway/vtl/value.hpp"

/// The compiled tree of a template. A new directive or expression is a class here and a branch in the parser.
namespace millrace::gateway::vtl {

/// Ends an evaluation; thrown only inside of it.
struct EvaluationFailed {
  Outcome outcome;
};
[[noreturn]] void fail(std::string detail);

/// One evaluation under way.
class Evaluation {
 public:
  static constexpr std::size_t kWorkMax = 2'000'000;

  Evaluation(const RequestFacts& facts, std::string_view body_text, Overrides& overridden, Arena& memory,
             Buffer& output, std::size_t variable_count, std::size_t loop_depth)
      : request(facts),
        body(body_text.empty() ? std::string_view("{}") : body_text),
        overrides(overridden),
        arena(memory),
        out(&output),
        budget(kWorkMax),
        output_begin_(output.size()) {
    variables.reserve(arena, variable_count);
    for (std::size_t i = 0; i < variable_count; ++i) variables.push(arena, Value());
    loops.reserve(arena, loop_depth);
    for (std::size_t i = 0; i < loop_depth; ++i) loops.push(arena, Loop{});
  }

  struct Loop {
    std::size_t index = 0, count = 0;
  };

  void write(std::string_view text) {
    check_output(text.size());
    out->append(text);
  }
  void write(const Value& value) {
    print(value, *out, budget);
    check_output(0);
  }
  void check_output(std::size_t more) const {
    if (out->size() - output_begin_ + more > Template::kOutputBytesMax) too_much_output();
  }
  /// What a value prints, as a text.
  std::string_view text_of(const Value& value);
  std::string_view json_of(const Value& value);
  /// The body as a tree, parsed once.
  Value body_tree();
  /// The whole body as compact JSON, appended to `to`.
  void compact_body(std::string& to);
  /// Runs `block` with its output taken apart.
  std::string_view capture(const class Block& block);

  const RequestFacts& request;
  const std::string_view body;  ///< `{}` when none was sent
  Overrides& overrides;
  Arena& arena;
  Buffer* out;
  Budget budget;
  ArenaVector<Value> variables;
  ArenaVector<Loop> loops;

 private:
  [[noreturn]] static void too_much_output();
  [[noreturn]] void bad_body(std::size_t offset);
  std::size_t output_begin_;
  bool parsed_ = false;
  Value tree_;
};

class Expression {
 public:
  virtual ~Expression() = default;
  virtual Value evaluate(Evaluation& e) const = 0;
  virtual void write(Evaluation& e) const { e.write(evaluate(e)); }
  /// Of a text that is known when compiling.
  virtual const std::string* constant_text() const noexcept { return nullptr; }
};
using ExpressionPtr = std::unique_ptr<const Expression>;

enum class Flow { next, leave_loop };

class Statement {
 public:
  virtual ~Statement() = default;
  virtual Flow run(Evaluation& e) const = 0;
};
using StatementPtr = std::unique_ptr<const Statement>;

class Block {
 public:
  void add(StatementPtr statement) { statements_.push_back(std::move(statement)); }
  /// Neighbouring texts become one.
  void add_text(std::string_view text);
  /// The text, where there is nothing else.
  const std::string* only_text() const noexcept {
    return statements_.size() == 1 && open_text_owner_ == statements_.front().get() ? open_text_ : nullptr;
  }
  Flow run(Evaluation& e) const {
    for (const StatementPtr& statement : statements_) {
      e.budget.spend(1);
      if (statement->run(e) == Flow::leave_loop) return Flow::leave_loop;
    }
    return Flow::next;
  }

 private:
  std::vector<StatementPtr> statements_;
  // The last text added; it grows only while it is the last statement.
  std::string* open_text_ = nullptr;
  const Statement* open_text_owner_ = nullptr;
};

/// A compiled template.
class Program {
 public:
  Block body;
  std::size_t variables = 0, loop_depth = 0;
};

enum class ContextVariable {
  account_id,
  api_id,
  domain_name,
  domain_prefix,
  extended_request_id,
  http_method,
  source_ip,
  user_agent,
  path,
  protocol,
  request_id,
  request_time,
  request_time_epoch,
  resource_id,
  resource_path,
  stage,
  override_status
};
/// By the name after `$context.`; nothing for those that have no value here (authorizers, errors, client certificates).
std::optional<ContextVariable> find_context_variable(std::string_view name) noexcept;

enum class LoopProperty { has_next, index, count, first, last };
enum class BinaryOperator {
  or_,
  and_,
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
  modulo
};
enum class UtilFunction { base64_encode, base64_decode, escape_java_script, url_encode, url_decode, parse_json };
std::optional<UtilFunction> find_util_function(std::string_view name) noexcept;

ExpressionPtr make_constant(Value value);
ExpressionPtr make_constant_text(std::string text);
ExpressionPtr make_interpolated(Block block);
ExpressionPtr make_variable(std::size_t slot);
ExpressionPtr make_context_variable(ContextVariable variable);
ExpressionPtr make_response_header(ExpressionPtr name);
ExpressionPtr make_loop_property(std::size_t depth, LoopProperty property);
ExpressionPtr make_input_body();
/// @param path  as known when compiling, else `dynamic` is evaluated and parsed each time
ExpressionPtr make_input_json(std::optional<JsonPath> path, ExpressionPtr dynamic);
ExpressionPtr make_input_path(std::optional<JsonPath> path, ExpressionPtr dynamic);
ExpressionPtr make_input_params(ExpressionPtr name);  ///< null: all of them
ExpressionPtr make_empty_map();
ExpressionPtr make_util(UtilFunction function, ExpressionPtr argument);
ExpressionPtr make_property(ExpressionPtr of, std::string name);
ExpressionPtr make_index(ExpressionPtr of, ExpressionPtr index);
ExpressionPtr make_method(ExpressionPtr of, Method method, std::vector<ExpressionPtr> arguments);
ExpressionPtr make_list(std::vector<ExpressionPtr> items);
ExpressionPtr make_range(ExpressionPtr from, ExpressionPtr to);
ExpressionPtr make_map(std::vector<std::pair<ExpressionPtr, ExpressionPtr>> members);
ExpressionPtr make_not(ExpressionPtr of);
ExpressionPtr make_negative(ExpressionPtr of);
ExpressionPtr make_binary(BinaryOperator op, ExpressionPtr left, ExpressionPtr right);

StatementPtr make_output(ExpressionPtr of);
StatementPtr make_set_variable(std::size_t slot, ExpressionPtr value);
StatementPtr make_set_member(ExpressionPtr of, ExpressionPtr key, ExpressionPtr value);
StatementPtr make_set_status(ExpressionPtr value);
StatementPtr make_set_header(ExpressionPtr name, ExpressionPtr value);
struct Branch {
  ExpressionPtr condition;  ///< null: otherwise
  Block block;
};
StatementPtr make_if(std::vector<Branch> branches);
StatementPtr make_foreach(std::size_t slot, std::size_t depth, ExpressionPtr over, Block block);
StatementPtr make_break();

/// `text` can be the name of a header.
bool is_header_name(std::string_view text) noexcept;

}  // namespace millrace::gateway::vtl
