#include "gateway/vtl/nodes.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>

#include "millrace/codec/base64.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/codec/percent.hpp"

namespace millrace::gateway::vtl {

void fail(std::string detail) { throw EvaluationFailed{{Outcome::Code::failed, std::move(detail)}}; }

void Evaluation::too_much_output() { fail("the template's output is too large"); }

void Evaluation::bad_body(std::size_t offset) {
  std::string detail =
      offset >= body.size() ? "Unexpected end of input" : "Unexpected character at byte " + std::to_string(offset);
  throw EvaluationFailed{{Outcome::Code::bad_json, std::move(detail)}};
}

std::string_view Evaluation::text_of(const Value& value) {
  if (value.is(Value::Kind::string) || value.is(Value::Kind::number)) return value.as_text();
  Buffer text;
  print(value, text, budget);
  return arena.copy(text.view());
}

std::string_view Evaluation::json_of(const Value& value) {
  if (value.is(Value::Kind::number)) return value.as_text();
  Buffer text;
  print_json(value, text, budget);
  return arena.copy(text.view());
}

Value Evaluation::body_tree() {
  if (!parsed_) {
    std::size_t offset = 0;
    if (!parse_json(body, arena, tree_, offset)) bad_body(offset);
    parsed_ = true;
  }
  return tree_;
}

void Evaluation::compact_body(std::string& to) {
  budget.spend_bytes(body.size());
  if (codec::json_compact(body, to)) return;
  codec::JsonReader reader(body);
  reader.skip_value();
  if (!reader.failed()) reader.at_end();
  bad_body(reader.error_offset());
}

std::string_view Evaluation::capture(const Block& block) {
  Buffer captured;
  Buffer* outside = out;
  const std::size_t outside_begin = output_begin_;
  out = &captured;
  output_begin_ = 0;
  // An exception ends the whole evaluation, so that nothing needs to be put back for it.
  block.run(*this);
  out = outside;
  output_begin_ = outside_begin;
  return arena.copy(captured.view());
}

namespace {

// Scratch of one step at a time: never held across another node's evaluation.
std::string& scratch() {
  thread_local std::string text;
  constexpr std::size_t kKeep = 64u << 10;
  if (text.capacity() > kKeep) std::string().swap(text);
  text.clear();
  return text;
}

bool truthy(const Value& value) noexcept {
  return value.is(Value::Kind::boolean) ? value.as_boolean() : !value.is_null();
}

class Constant final : public Expression {
 public:
  explicit Constant(Value value) : value_(value) {}
  Value evaluate(Evaluation&) const override { return value_; }

 private:
  Value value_;
};

class ConstantText final : public Expression {
 public:
  explicit ConstantText(std::string text) : text_(std::move(text)) {}
  Value evaluate(Evaluation&) const override { return Value::string(text_); }
  void write(Evaluation& e) const override { e.write(std::string_view(text_)); }
  const std::string* constant_text() const noexcept override { return &text_; }

 private:
  std::string text_;
};

class Interpolated final : public Expression {
 public:
  explicit Interpolated(Block block) : block_(std::move(block)) {}
  Value evaluate(Evaluation& e) const override { return Value::string(e.capture(block_)); }

 private:
  Block block_;
};

class Variable final : public Expression {
 public:
  explicit Variable(std::size_t slot) : slot_(slot) {}
  Value evaluate(Evaluation& e) const override { return e.variables[slot_]; }

 private:
  std::size_t slot_;
};

std::string request_time(TimePoint time) {
  // dd/MMM/yyyy:HH:mm:ss +0000
  static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
  auto two = [](long long n) {
    return std::string{static_cast<char>('0' + n / 10 % 10), static_cast<char>('0' + n % 10)};
  };
  return two(static_cast<unsigned>(date.day())) + "/" + kMonths[static_cast<unsigned>(date.month()) - 1] + "/" +
         std::to_string(static_cast<int>(date.year())) + ":" + two(clock.hours().count()) + ":" +
         two(clock.minutes().count()) + ":" + two(clock.seconds().count()) + " +0000";
}

class ContextNode final : public Expression {
 public:
  explicit ContextNode(ContextVariable variable) : variable_(variable) {}
  void write(Evaluation& e) const override {
    // The one that nearly every template has.
    if (variable_ == ContextVariable::request_id)
      e.write(e.request.request_id);
    else
      e.write(evaluate(e));
  }
  Value evaluate(Evaluation& e) const override {
    const RequestFacts& r = e.request;
    switch (variable_) {
      case ContextVariable::account_id:
        return Value::string(r.account_id);
      case ContextVariable::api_id:
        return Value::string(r.api_id);
      case ContextVariable::domain_name:
        return Value::string(r.domain_name);
      case ContextVariable::domain_prefix:
        return Value::string(r.domain_name.substr(0, r.domain_name.find('.')));
      case ContextVariable::extended_request_id:
        return Value::string(r.extended_request_id);
      case ContextVariable::http_method:
        return Value::string(r.http_method);
      case ContextVariable::source_ip:
        return Value::string(r.source_ip);
      case ContextVariable::user_agent:
        return Value::string(r.user_agent);
      case ContextVariable::path:
        return Value::string(r.path);
      case ContextVariable::protocol:
        return Value::string(r.protocol);
      case ContextVariable::request_id:
        return Value::string(r.request_id);
      case ContextVariable::request_time:
        return Value::string(e.arena.copy(request_time(r.time)));
      case ContextVariable::request_time_epoch:
        return Value::integer(r.time.time_since_epoch().count());
      case ContextVariable::resource_id:
        return Value::string(r.resource_id);
      case ContextVariable::resource_path:
        return Value::string(r.resource_path);
      case ContextVariable::stage:
        return Value::string(r.stage);
      case ContextVariable::override_status:
        return e.overrides.status ? Value::integer(e.overrides.status) : Value();
    }
    return {};
  }

 private:
  ContextVariable variable_;
};

class ResponseHeader final : public Expression {
 public:
  explicit ResponseHeader(ExpressionPtr name) : name_(std::move(name)) {}
  Value evaluate(Evaluation& e) const override {
    std::string_view wanted = e.text_of(name_->evaluate(e));
    for (const auto& [name, value] : e.overrides.headers)
      if (http::same_token(name, wanted)) return Value::string(e.arena.copy(value));
    return {};
  }

 private:
  ExpressionPtr name_;
};

class LoopNode final : public Expression {
 public:
  LoopNode(std::size_t depth, LoopProperty property) : depth_(depth), property_(property) {}
  Value evaluate(Evaluation& e) const override {
    const Evaluation::Loop& loop = e.loops[depth_];
    switch (property_) {
      case LoopProperty::has_next:
        return Value::boolean(loop.index + 1 < loop.count);
      case LoopProperty::index:
        return Value::integer(static_cast<std::int64_t>(loop.index));
      case LoopProperty::count:
        return Value::integer(static_cast<std::int64_t>(loop.index + 1));
      case LoopProperty::first:
        return Value::boolean(loop.index == 0);
      case LoopProperty::last:
        return Value::boolean(loop.index + 1 == loop.count);
    }
    return {};
  }

 private:
  std::size_t depth_;
  LoopProperty property_;
};

class InputBody final : public Expression {
 public:
  Value evaluate(Evaluation& e) const override { return Value::string(e.body); }
};

/// A path known when compiling, or evaluated each time.
class PathArgument {
 public:
  PathArgument(std::optional<JsonPath> path, ExpressionPtr dynamic)
      : path_(std::move(path)), dynamic_(std::move(dynamic)) {}
  bool is_root() const noexcept { return path_ && path_->is_root(); }
  Value find(Evaluation& e) const {
    if (path_) return path_->find(e.body_tree(), e.budget);
    std::string problem;
    auto path = JsonPath::parse(e.text_of(dynamic_->evaluate(e)), problem);
    // The problem would quote the path, and with it what the client sent.
    if (!path) fail("a JSONPath that the template makes is not supported");
    return path->find(e.body_tree(), e.budget);
  }

 private:
  std::optional<JsonPath> path_;
  ExpressionPtr dynamic_;
};

class InputJson final : public Expression {
 public:
  InputJson(std::optional<JsonPath> path, ExpressionPtr dynamic) : path_(std::move(path), std::move(dynamic)) {}
  /// The whole body: no tree is built, and write_whole() gives it.
  bool is_whole() const noexcept { return path_.is_root(); }
  static std::string_view whole(Evaluation& e) {
    std::string& text = scratch();
    e.compact_body(text);
    return text;
  }
  void write(Evaluation& e) const override {
    if (is_whole()) return e.write(whole(e));
    Value found = path_.find(e);
    if (found.is_null()) return e.write(std::string_view("\"\""));
    print_json(found, *e.out, e.budget);
    e.check_output(0);
  }
  Value evaluate(Evaluation& e) const override {
    if (is_whole()) return Value::string(e.arena.copy(whole(e)));
    Value found = path_.find(e);
    return Value::string(found.is_null() ? std::string_view("\"\"") : e.json_of(found));
  }

 private:
  PathArgument path_;
};

class InputPath final : public Expression {
 public:
  InputPath(std::optional<JsonPath> path, ExpressionPtr dynamic) : path_(std::move(path), std::move(dynamic)) {}
  Value evaluate(Evaluation& e) const override { return path_.find(e); }

 private:
  PathArgument path_;
};

/// Calls `see(name, value)` for each query parameter, decoded, in order.
template <class See>
void each_query_parameter(Evaluation& e, See see) {
  std::string_view rest = e.request.query;
  e.budget.spend_bytes(rest.size());
  while (!rest.empty()) {
    std::size_t end = rest.find_first_of("&;");
    std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    std::string_view name = pair.substr(0, equals);
    std::string_view value = equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
    see(e.arena.copy(codec::decode_form(name)), e.arena.copy(codec::decode_form(value)));
  }
}

class InputParams final : public Expression {
 public:
  explicit InputParams(ExpressionPtr name) : name_(std::move(name)) {}
  Value evaluate(Evaluation& e) const override { return name_ ? one(e, e.text_of(name_->evaluate(e))) : all(e); }

 private:
  static Value one(Evaluation& e, std::string_view wanted) {
    for (const auto& parameter : e.request.path_parameters)
      if (parameter.name == wanted) return Value::string(parameter.value);
    Value found;
    each_query_parameter(e, [&](std::string_view name, std::string_view value) {
      if (name == wanted) found = Value::string(value);
    });
    if (!found.is_null()) return found;
    if (e.request.headers)
      if (auto header = e.request.headers->find(wanted)) return Value::string(*header);
    return Value::string("");
  }
  static Value all(Evaluation& e) {
    Map* path = e.arena.make<Map>();
    for (const auto& parameter : e.request.path_parameters)
      path->set(e.arena, parameter.name, Value::string(parameter.value));
    Map* query = e.arena.make<Map>();
    each_query_parameter(e, [&](std::string_view name, std::string_view value) {
      e.budget.spend(1 + query->members.size() / 4);
      query->set(e.arena, name, Value::string(value));
    });
    Map* header = e.arena.make<Map>();
    if (e.request.headers)
      for (const http::Header& field : *e.request.headers) header->set(e.arena, field.name, Value::string(field.value));
    Map* params = e.arena.make<Map>();
    params->set(e.arena, "path", Value::map(path));
    params->set(e.arena, "querystring", Value::map(query));
    params->set(e.arena, "header", Value::map(header));
    return Value::map(params);
  }

  ExpressionPtr name_;
};

class EmptyMap final : public Expression {
 public:
  Value evaluate(Evaluation& e) const override { return Value::map(e.arena.make<Map>()); }
};

class Base64Encode final : public Expression {
 public:
  explicit Base64Encode(ExpressionPtr argument)
      : argument_(std::move(argument)), whole_(dynamic_cast<const InputJson*>(argument_.get())) {
    if (whole_ && !whole_->is_whole()) whole_ = nullptr;
  }
  void write(Evaluation& e) const override {
    std::string_view text = bytes(e);
    const std::size_t size = codec::base64::encoded_size(text.size());
    e.check_output(size);
    e.budget.spend_bytes(size);
    e.out->commit(codec::base64::encode(text, e.out->prepare(size + codec::base64::kSlack)));
  }
  Value evaluate(Evaluation& e) const override {
    std::string_view text = bytes(e);
    e.budget.spend_bytes(text.size());
    char* to = static_cast<char*>(e.arena.take(codec::base64::encoded_size(text.size()) + codec::base64::kSlack));
    return Value::string({to, codec::base64::encode(text, to)});
  }

 private:
  // What is not a text is encoded as JSON; nothing as nothing.
  std::string_view bytes(Evaluation& e) const {
    if (whole_) return InputJson::whole(e);
    Value value = argument_->evaluate(e);
    if (value.is(Value::Kind::string)) return value.as_text();
    return value.is_null() ? std::string_view{} : e.json_of(value);
  }

  ExpressionPtr argument_;
  const InputJson* whole_;
};

void append_utf16_escape(std::uint32_t unit, std::string& out) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(unit >> shift) & 0xF];
}

// As the language's escaper does: quotes, backslash and slash by a backslash, everything outside ASCII by its UTF-16
// units.
std::string escape_java_script(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x80) {
      std::size_t size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
      std::uint32_t point = c & (0xFFu >> (size + 1));
      for (std::size_t k = 1; k < size && i + k < text.size(); ++k)
        point = point << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3Fu);
      i += size;
      if (point >= 0x10000) {
        append_utf16_escape(0xD800 + ((point - 0x10000) >> 10), out);
        append_utf16_escape(0xDC00 + ((point - 0x10000) & 0x3FF), out);
      } else {
        append_utf16_escape(point, out);
      }
      continue;
    }
    ++i;
    switch (c) {
      case '\b':
        out += "\\b";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\'':
      case '"':
      case '\\':
      case '/':
        out += '\\';
        out += static_cast<char>(c);
        break;
      default:
        if (c < 0x20)
          append_utf16_escape(c, out);
        else
          out += static_cast<char>(c);
    }
  }
  return out;
}

class Util final : public Expression {
 public:
  Util(UtilFunction function, ExpressionPtr argument) : function_(function), argument_(std::move(argument)) {}
  Value evaluate(Evaluation& e) const override {
    Value value = argument_->evaluate(e);
    if (value.is_null()) return {};
    std::string_view text = e.text_of(value);
    e.budget.spend_bytes(text.size() * 4);
    switch (function_) {
      case UtilFunction::base64_encode:
        return {};  // Base64Encode
      case UtilFunction::base64_decode: {
        auto decoded = codec::base64::decode(text);
        if (!decoded) fail("$util.base64Decode: not base64");
        return Value::string(e.arena.copy(*decoded));
      }
      case UtilFunction::escape_java_script:
        return Value::string(e.arena.copy(escape_java_script(text)));
      case UtilFunction::url_encode:
        return Value::string(e.arena.copy(codec::encode_form(text)));
      case UtilFunction::url_decode:
        return Value::string(e.arena.copy(codec::decode_form(text)));
      case UtilFunction::parse_json: {
        Value tree;
        std::size_t offset = 0;
        if (!parse_json(text, e.arena, tree, offset))
          fail("$util.parseJson: not JSON at byte " + std::to_string(offset));
        return tree;
      }
    }
    return {};
  }

 private:
  UtilFunction function_;
  ExpressionPtr argument_;
};

class Property final : public Expression {
 public:
  Property(ExpressionPtr of, std::string name) : of_(std::move(of)), name_(std::move(name)) {}
  Value evaluate(Evaluation& e) const override {
    Value of = of_->evaluate(e);
    if (!of.is(Value::Kind::map)) return {};
    e.budget.spend(1 + of.as_map().members.size() / 4);
    const Member* member = of.as_map().find(name_);
    return member ? member->value : Value();
  }

 private:
  ExpressionPtr of_;
  std::string name_;
};

// A place in a list; a negative one counts from its end.
std::optional<std::size_t> list_place(const List& list, const Value& index) noexcept {
  if (!index.is_number()) return std::nullopt;
  Numeric n = numeric(index);
  const auto size = static_cast<std::int64_t>(list.items.size());
  if (!n.exact || n.integer >= size || n.integer < -size) return std::nullopt;
  return static_cast<std::size_t>(n.integer < 0 ? n.integer + size : n.integer);
}

class Index final : public Expression {
 public:
  Index(ExpressionPtr of, ExpressionPtr index) : of_(std::move(of)), index_(std::move(index)) {}
  Value evaluate(Evaluation& e) const override {
    Value of = of_->evaluate(e), index = index_->evaluate(e);
    if (of.is(Value::Kind::list)) {
      auto at = list_place(of.as_list(), index);
      return at ? of.as_list().items[*at] : Value();
    }
    if (!of.is(Value::Kind::map)) return {};
    e.budget.spend(1 + of.as_map().members.size() / 4);
    const Member* member = of.as_map().find(e.text_of(index));
    return member ? member->value : Value();
  }

 private:
  ExpressionPtr of_, index_;
};

class MethodCall final : public Expression {
 public:
  MethodCall(ExpressionPtr of, Method method, std::vector<ExpressionPtr> arguments)
      : of_(std::move(of)), method_(method), arguments_(std::move(arguments)) {}
  Value evaluate(Evaluation& e) const override {
    e.budget.spend(1);
    Value of = of_->evaluate(e);
    std::array<Value, 2> arguments;
    for (std::size_t i = 0; i < arguments_.size(); ++i) arguments[i] = arguments_[i]->evaluate(e);
    return call_method(e, of, method_, {arguments.data(), arguments_.size()});
  }

 private:
  ExpressionPtr of_;
  Method method_;
  std::vector<ExpressionPtr> arguments_;
};

class ListLiteral final : public Expression {
 public:
  explicit ListLiteral(std::vector<ExpressionPtr> items) : items_(std::move(items)) {}
  Value evaluate(Evaluation& e) const override {
    List* list = e.arena.make<List>();
    list->items.reserve(e.arena, items_.size());
    for (const ExpressionPtr& item : items_) list->items.push(e.arena, item->evaluate(e));
    return Value::list(list);
  }

 private:
  std::vector<ExpressionPtr> items_;
};

class Range final : public Expression {
 public:
  Range(ExpressionPtr from, ExpressionPtr to) : from_(std::move(from)), to_(std::move(to)) {}
  Value evaluate(Evaluation& e) const override {
    Value from = from_->evaluate(e), to = to_->evaluate(e);
    if (!from.is_number() || !to.is_number()) return {};
    Numeric first = numeric(from), last = numeric(to);
    if (!first.exact || !last.exact) return {};
    const bool up = first.integer <= last.integer;
    const auto distance = up ? static_cast<std::uint64_t>(last.integer) - static_cast<std::uint64_t>(first.integer)
                             : static_cast<std::uint64_t>(first.integer) - static_cast<std::uint64_t>(last.integer);
    constexpr std::uint64_t kMax = 100'000;
    if (distance >= kMax) fail("a range has too many elements");
    e.budget.spend(1 + distance);
    List* list = e.arena.make<List>();
    list->items.reserve(e.arena, static_cast<std::size_t>(distance) + 1);
    for (std::uint64_t i = 0; i <= distance; ++i)
      list->items.push(e.arena, Value::integer(up ? first.integer + static_cast<std::int64_t>(i)
                                                  : first.integer - static_cast<std::int64_t>(i)));
    return Value::list(list);
  }

 private:
  ExpressionPtr from_, to_;
};

class MapLiteral final : public Expression {
 public:
  explicit MapLiteral(std::vector<std::pair<ExpressionPtr, ExpressionPtr>> members) : members_(std::move(members)) {}
  Value evaluate(Evaluation& e) const override {
    Map* map = e.arena.make<Map>();
    map->members.reserve(e.arena, members_.size());
    for (const auto& [key, value] : members_) map->set(e.arena, e.text_of(key->evaluate(e)), value->evaluate(e));
    return Value::map(map);
  }

 private:
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> members_;
};

class Not final : public Expression {
 public:
  explicit Not(ExpressionPtr of) : of_(std::move(of)) {}
  Value evaluate(Evaluation& e) const override { return Value::boolean(!truthy(of_->evaluate(e))); }

 private:
  ExpressionPtr of_;
};

Value arithmetic(Evaluation& e, BinaryOperator op, const Value& left, const Value& right) {
  if (op == BinaryOperator::plus && (left.is(Value::Kind::string) || right.is(Value::Kind::string)))
    return Value::string(e.arena.join(e.text_of(left), e.text_of(right)));
  if (!left.is_number() || !right.is_number()) return {};
  Numeric a = numeric(left), b = numeric(right);
  if (a.exact && b.exact) {
    std::int64_t result = 0;
    bool overflow = false;
    switch (op) {
      case BinaryOperator::plus:
        overflow = __builtin_add_overflow(a.integer, b.integer, &result);
        break;
      case BinaryOperator::minus:
        overflow = __builtin_sub_overflow(a.integer, b.integer, &result);
        break;
      case BinaryOperator::times:
        overflow = __builtin_mul_overflow(a.integer, b.integer, &result);
        break;
      default:
        if (b.integer == 0) return {};
        if (b.integer == -1) {  // the one quotient that can overflow
          if (op == BinaryOperator::divide) overflow = __builtin_sub_overflow(std::int64_t{0}, a.integer, &result);
        } else {
          result = op == BinaryOperator::divide ? a.integer / b.integer : a.integer % b.integer;
        }
    }
    if (!overflow) return Value::integer(result);
  }
  switch (op) {
    case BinaryOperator::plus:
      return Value::real(a.real + b.real);
    case BinaryOperator::minus:
      return Value::real(a.real - b.real);
    case BinaryOperator::times:
      return Value::real(a.real * b.real);
    case BinaryOperator::divide:
      return b.real == 0 ? Value() : Value::real(a.real / b.real);
    default:
      return b.real == 0 ? Value() : Value::real(std::fmod(a.real, b.real));
  }
}

bool less(const Value& left, const Value& right) noexcept {
  Numeric a = numeric(left), b = numeric(right);
  return a.exact && b.exact ? a.integer < b.integer : a.real < b.real;
}

class Negative final : public Expression {
 public:
  explicit Negative(ExpressionPtr of) : of_(std::move(of)) {}
  Value evaluate(Evaluation& e) const override {
    return arithmetic(e, BinaryOperator::minus, Value::integer(0), of_->evaluate(e));
  }

 private:
  ExpressionPtr of_;
};

class Binary final : public Expression {
 public:
  Binary(BinaryOperator op, ExpressionPtr left, ExpressionPtr right)
      : op_(op), left_(std::move(left)), right_(std::move(right)) {}
  Value evaluate(Evaluation& e) const override {
    e.budget.spend(1);
    Value left = left_->evaluate(e);
    if (op_ == BinaryOperator::or_) return Value::boolean(truthy(left) || truthy(right_->evaluate(e)));
    if (op_ == BinaryOperator::and_) return Value::boolean(truthy(left) && truthy(right_->evaluate(e)));
    Value right = right_->evaluate(e);
    switch (op_) {
      case BinaryOperator::equal:
        return Value::boolean(equal(left, right, e.budget));
      case BinaryOperator::not_equal:
        return Value::boolean(!equal(left, right, e.budget));
      case BinaryOperator::less:
      case BinaryOperator::less_equal:
      case BinaryOperator::greater:
      case BinaryOperator::greater_equal:
        // Only numbers have an order.
        if (!left.is_number() || !right.is_number()) return Value::boolean(false);
        if (op_ == BinaryOperator::less) return Value::boolean(less(left, right));
        if (op_ == BinaryOperator::greater) return Value::boolean(less(right, left));
        return Value::boolean(equal(left, right, e.budget) ||
                              (op_ == BinaryOperator::less_equal ? less(left, right) : less(right, left)));
      default:
        return arithmetic(e, op_, left, right);
    }
  }

 private:
  BinaryOperator op_;
  ExpressionPtr left_, right_;
};

class Text final : public Statement {
 public:
  explicit Text(std::string text) : text_(std::move(text)) {}
  Flow run(Evaluation& e) const override {
    e.write(std::string_view(text_));
    return Flow::next;
  }
  std::string& text() noexcept { return text_; }

 private:
  std::string text_;
};

class Output final : public Statement {
 public:
  explicit Output(ExpressionPtr of) : of_(std::move(of)) {}
  Flow run(Evaluation& e) const override {
    of_->write(e);
    return Flow::next;
  }

 private:
  ExpressionPtr of_;
};

class SetVariable final : public Statement {
 public:
  SetVariable(std::size_t slot, ExpressionPtr value) : slot_(slot), value_(std::move(value)) {}
  Flow run(Evaluation& e) const override {
    e.variables[slot_] = value_->evaluate(e);
    return Flow::next;
  }

 private:
  std::size_t slot_;
  ExpressionPtr value_;
};

class SetMember final : public Statement {
 public:
  SetMember(ExpressionPtr of, ExpressionPtr key, ExpressionPtr value)
      : of_(std::move(of)), key_(std::move(key)), value_(std::move(value)) {}
  Flow run(Evaluation& e) const override {
    Value of = of_->evaluate(e), key = key_->evaluate(e), value = value_->evaluate(e);
    if (of.is(Value::Kind::map)) {
      e.budget.spend(1 + of.as_map().members.size() / 4);
      of.as_map().set(e.arena, e.text_of(key), value);
    } else if (of.is(Value::Kind::list)) {
      if (auto at = list_place(of.as_list(), key)) of.as_list().items[*at] = value;
    }
    return Flow::next;
  }

 private:
  ExpressionPtr of_, key_, value_;
};

class SetStatus final : public Statement {
 public:
  explicit SetStatus(ExpressionPtr value) : value_(std::move(value)) {}
  Flow run(Evaluation& e) const override {
    std::string_view text = e.text_of(value_->evaluate(e));
    int status = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
    // Anything else is ignored; so are the informational ones, which cannot end a reply.
    if (error == std::errc{} && end == text.data() + text.size() && status >= 200 && status <= 599)
      e.overrides.status = status;
    return Flow::next;
  }

 private:
  ExpressionPtr value_;
};

class SetHeader final : public Statement {
 public:
  SetHeader(ExpressionPtr name, ExpressionPtr value) : name_(std::move(name)), value_(std::move(value)) {}
  Flow run(Evaluation& e) const override {
    std::string name(e.text_of(name_->evaluate(e)));
    std::string value(e.text_of(value_->evaluate(e)));
    if (!is_header_name(name)) fail("$context.responseOverride.header: not a header name");
    // The value may come from the client: it must not end the header.
    for (char& c : value)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    constexpr std::size_t kHeadersMax = 64, kValueMax = 10240;
    if (value.size() > kValueMax) fail("$context.responseOverride.header: value too long");
    for (auto& [known, old] : e.overrides.headers)
      if (http::same_token(known, name)) {
        old = std::move(value);
        return Flow::next;
      }
    if (e.overrides.headers.size() == kHeadersMax) fail("$context.responseOverride.header: too many headers");
    e.overrides.headers.emplace_back(std::move(name), std::move(value));
    return Flow::next;
  }

 private:
  ExpressionPtr name_, value_;
};

class If final : public Statement {
 public:
  explicit If(std::vector<Branch> branches) : branches_(std::move(branches)) {}
  Flow run(Evaluation& e) const override {
    for (const Branch& branch : branches_)
      if (!branch.condition || truthy(branch.condition->evaluate(e))) return branch.block.run(e);
    return Flow::next;
  }

 private:
  std::vector<Branch> branches_;
};

class Foreach final : public Statement {
 public:
  Foreach(std::size_t slot, std::size_t depth, ExpressionPtr over, Block block)
      : slot_(slot), depth_(depth), over_(std::move(over)), block_(std::move(block)) {}
  Flow run(Evaluation& e) const override {
    Value over = over_->evaluate(e);
    std::size_t count = 0;
    if (over.is(Value::Kind::list)) count = over.as_list().items.size();
    if (over.is(Value::Kind::map)) count = over.as_map().members.size();
    // Going on without the rest would lose records in silence.
    if (count > Template::kIterationsMax) fail("#foreach over " + std::to_string(count) + " elements: at most 1000");
    // The loop may change what it runs over: it sees the elements of its beginning.
    ArenaVector<Value> items;
    items.reserve(e.arena, count);
    if (over.is(Value::Kind::list))
      for (const Value& item : over.as_list().items) items.push(e.arena, item);
    if (over.is(Value::Kind::map))
      for (const Member& member : over.as_map().members) items.push(e.arena, member.value);
    const Value before = e.variables[slot_];
    for (std::size_t i = 0; i < count; ++i) {
      e.budget.spend(1);
      e.loops[depth_] = {i, count};
      e.variables[slot_] = items[i];
      if (block_.run(e) == Flow::leave_loop) break;
    }
    e.variables[slot_] = before;
    return Flow::next;
  }

 private:
  std::size_t slot_, depth_;
  ExpressionPtr over_;
  Block block_;
};

class Break final : public Statement {
 public:
  Flow run(Evaluation&) const override { return Flow::leave_loop; }
};

}  // namespace

void Block::add_text(std::string_view text) {
  if (text.empty()) return;
  if (!statements_.empty() && open_text_ && open_text_owner_ == statements_.back().get()) {
    open_text_->append(text);
    return;
  }
  auto node = std::make_unique<Text>(std::string(text));
  open_text_ = &node->text();
  open_text_owner_ = node.get();
  statements_.push_back(std::move(node));
}

std::optional<ContextVariable> find_context_variable(std::string_view name) noexcept {
  using enum ContextVariable;
  static constexpr std::array<std::pair<std::string_view, ContextVariable>, 17> kVariables{{
      {"accountId", account_id},
      {"apiId", api_id},
      {"domainName", domain_name},
      {"domainPrefix", domain_prefix},
      {"extendedRequestId", extended_request_id},
      {"httpMethod", http_method},
      {"identity.sourceIp", source_ip},
      {"identity.userAgent", user_agent},
      {"path", path},
      {"protocol", protocol},
      {"requestId", request_id},
      {"requestTime", request_time},
      {"requestTimeEpoch", request_time_epoch},
      {"resourceId", resource_id},
      {"resourcePath", resource_path},
      {"stage", stage},
      {"responseOverride.status", override_status},
  }};
  for (const auto& [known, variable] : kVariables)
    if (known == name) return variable;
  return std::nullopt;
}

std::optional<UtilFunction> find_util_function(std::string_view name) noexcept {
  using enum UtilFunction;
  static constexpr std::array<std::pair<std::string_view, UtilFunction>, 6> kFunctions{{
      {"base64Encode", base64_encode},
      {"base64Decode", base64_decode},
      {"escapeJavaScript", escape_java_script},
      {"urlEncode", url_encode},
      {"urlDecode", url_decode},
      {"parseJson", UtilFunction::parse_json},
  }};
  for (const auto& [known, function] : kFunctions)
    if (known == name) return function;
  return std::nullopt;
}

bool is_header_name(std::string_view text) noexcept {
  for (char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos) return false;
  }
  return !text.empty() && text.size() <= 256;
}

ExpressionPtr make_constant(Value value) { return std::make_unique<Constant>(value); }
ExpressionPtr make_constant_text(std::string text) { return std::make_unique<ConstantText>(std::move(text)); }
ExpressionPtr make_interpolated(Block block) { return std::make_unique<Interpolated>(std::move(block)); }
ExpressionPtr make_variable(std::size_t slot) { return std::make_unique<Variable>(slot); }
ExpressionPtr make_context_variable(ContextVariable variable) { return std::make_unique<ContextNode>(variable); }
ExpressionPtr make_response_header(ExpressionPtr name) { return std::make_unique<ResponseHeader>(std::move(name)); }
ExpressionPtr make_loop_property(std::size_t depth, LoopProperty property) {
  return std::make_unique<LoopNode>(depth, property);
}
ExpressionPtr make_input_body() { return std::make_unique<InputBody>(); }
ExpressionPtr make_input_json(std::optional<JsonPath> path, ExpressionPtr dynamic) {
  return std::make_unique<InputJson>(std::move(path), std::move(dynamic));
}
ExpressionPtr make_input_path(std::optional<JsonPath> path, ExpressionPtr dynamic) {
  return std::make_unique<InputPath>(std::move(path), std::move(dynamic));
}
ExpressionPtr make_input_params(ExpressionPtr name) { return std::make_unique<InputParams>(std::move(name)); }
ExpressionPtr make_empty_map() { return std::make_unique<EmptyMap>(); }
ExpressionPtr make_util(UtilFunction function, ExpressionPtr argument) {
  if (function == UtilFunction::base64_encode) return std::make_unique<Base64Encode>(std::move(argument));
  return std::make_unique<Util>(function, std::move(argument));
}
ExpressionPtr make_property(ExpressionPtr of, std::string name) {
  return std::make_unique<Property>(std::move(of), std::move(name));
}
ExpressionPtr make_index(ExpressionPtr of, ExpressionPtr index) {
  return std::make_unique<Index>(std::move(of), std::move(index));
}
ExpressionPtr make_method(ExpressionPtr of, Method method, std::vector<ExpressionPtr> arguments) {
  return std::make_unique<MethodCall>(std::move(of), method, std::move(arguments));
}
ExpressionPtr make_list(std::vector<ExpressionPtr> items) { return std::make_unique<ListLiteral>(std::move(items)); }
ExpressionPtr make_range(ExpressionPtr from, ExpressionPtr to) {
  return std::make_unique<Range>(std::move(from), std::move(to));
}
ExpressionPtr make_map(std::vector<std::pair<ExpressionPtr, ExpressionPtr>> members) {
  return std::make_unique<MapLiteral>(std::move(members));
}
ExpressionPtr make_not(ExpressionPtr of) { return std::make_unique<Not>(std::move(of)); }
ExpressionPtr make_negative(ExpressionPtr of) { return std::make_unique<Negative>(std::move(of)); }
ExpressionPtr make_binary(BinaryOperator op, ExpressionPtr left, ExpressionPtr right) {
  return std::make_unique<Binary>(op, std::move(left), std::move(right));
}

StatementPtr make_output(ExpressionPtr of) { return std::make_unique<Output>(std::move(of)); }
StatementPtr make_set_variable(std::size_t slot, ExpressionPtr value) {
  return std::make_unique<SetVariable>(slot, std::move(value));
}
StatementPtr make_set_member(ExpressionPtr of, ExpressionPtr key, ExpressionPtr value) {
  return std::make_unique<SetMember>(std::move(of), std::move(key), std::move(value));
}
StatementPtr make_set_status(ExpressionPtr value) { return std::make_unique<SetStatus>(std::move(value)); }
StatementPtr make_set_header(ExpressionPtr name, ExpressionPtr value) {
  return std::make_unique<SetHeader>(std::move(name), std::move(value));
}
StatementPtr make_if(std::vector<Branch> branches) { return std::make_unique<If>(std::move(branches)); }
StatementPtr make_foreach(std::size_t slot, std::size_t depth, ExpressionPtr over, Block block) {
  return std::make_unique<Foreach>(slot, depth, std::move(over), std::move(block));
}
StatementPtr make_break() { return std::make_unique<Break>(); }

}  // namespace millrace::gateway::vtl
