#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/clock.hpp"
#include "millrace/base/http.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/random.hpp"
#include "millrace/base/result.hpp"
#include "millrace/gateway/service_caller.hpp"

/// The API Gateway domain: deployed REST APIs answer requests.
namespace millrace::gateway {

/// An API cannot be deployed; `detail` is the whole message for the user, a mistake a line: file, line, column, what,
/// and what would be right.
enum class Errc { invalid = 1 };
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

struct ApiSpec {
  std::string name;
  std::string id;  ///< stable, [a-z0-9]{10}; empty: derived from the name
  std::vector<std::string> stages;
  std::string openapi_text;            ///< OpenAPI 3.0 as AWS exports it, JSON or YAML
  std::filesystem::path openapi_file;  ///< for messages
};

struct GatewayOptions {
  std::string account_id = "000000000000";
  std::string region = "us-east-1";
  std::size_t body_bytes_max = 10u << 20;
  MemoryBudget* budget = nullptr;  ///< for what templates make of bodies; null: unbounded but for their own limits
};

struct ApiSummary {
  std::string id, name;
  std::vector<std::string> stages;
  std::size_t routes = 0;
};

/// Thread-safe; requests see the set of APIs as it was when they came.
class Gateway {
 public:
  virtual ~Gateway() = default;
  /// Parses, compiles templates, checks that no two APIs answer one stage and path on the gateway listener, and
  /// deploys.
  virtual Result<ApiSummary> deploy(const ApiSpec& spec) = 0;
  virtual std::vector<ApiSummary> apis() const = 0;
  /// `/{stage}/{resource...}` on the gateway listener.
  virtual awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) = 0;
  /// The same API by id from elsewhere: `path` (raw, at least "/") is what follows the stage.
  virtual awaitable<void> handle_api(std::string_view api_id, std::string_view stage, std::string_view path,
                                     http::Request& request, http::ResponseWriter& writer) = 0;
};

std::unique_ptr<Gateway> make_gateway(Clock& clock, Random& random, ServiceCaller& services, GatewayOptions options);
/// Ten characters [a-z0-9], the same for the same name.
std::string api_id_of_name(std::string_view name);

}  // namespace millrace::gateway
