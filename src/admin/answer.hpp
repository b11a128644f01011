#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "millrace/base/http.hpp"

namespace millrace::admin {

/// A reply on its way: built first, sent once.
struct Answer {
  int status = 200;
  std::string body;
  std::string_view content_type = "application/json";
  std::string_view allow = {};
  std::string_view objects = {};  ///< of a reset: X-Millrace-Objects, "kept" or "removed"
};

Answer json(int status, const nlohmann::ordered_json& body);
Answer refused(int status, std::string_view why);
Answer not_allowed(std::string_view methods);
Answer unknown_parameter(std::string_view name);

awaitable<void> send(const Answer& answer, http::ResponseWriter& writer);

}  // namespace millrace::admin
