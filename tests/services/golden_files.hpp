#pragma once
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "services/kinesis_world.hpp"

// Golden files of one service, tests/golden/<service>/<Operation>/<case>.json: finding them, comparing with them, and
// what must hold of every operation in the table.
namespace millrace::test {

namespace fs = std::filesystem;

inline std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline fs::path golden_folder(std::string_view service) {
  return fs::path(MILLRACE_TEST_DATA) / ".." / "golden" / service;
}

/// "<Operation>/<case>" of each file, in order.
inline std::vector<std::string> golden_cases(std::string_view service) {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(golden_folder(service)))
    if (entry.path().extension() == ".json")
      found.push_back(entry.path().parent_path().filename().string() + "/" + entry.path().stem().string());
  std::sort(found.begin(), found.end());
  return found;
}

inline std::string golden_case_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == '-' || c == '.'; }, '_');
  return name;
}

/// Compares with what the file has, or writes it there when UPDATE_GOLDEN=1.
inline void expect_golden(const fs::path& path, Json file, int status, const Json& reply) {
  if (const char* update = std::getenv("UPDATE_GOLDEN"); update && *update == '1') {
    file["status"] = status;
    file["reply"] = reply;
    std::ofstream(path, std::ios::binary) << file.dump(2) << "\n";
    return;
  }
  EXPECT_EQ(file["status"], status);
  EXPECT_EQ(file["reply"].dump(2), reply.dump(2));
}

inline std::string snake_case(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') {
      if (!out.empty()) out += '_';
      c = static_cast<char>(c - 'A' + 'a');
    }
    out += c;
  }
  return out;
}

/// Each operation of `service` names its source, and has a golden reply and a golden rejection.
inline void expect_every_operation_is_documented(std::string_view service) {
  const fs::path ops = fs::path(MILLRACE_TEST_DATA) / ".." / ".." / "src" / "services" / service / "ops";
  const auto operations = services::find_service(service)->operations;
  ASSERT_FALSE(operations.empty());
  for (const services::Operation* operation : operations) {
    const std::string name(operation->name);
    SCOPED_TRACE(name);
    const std::string source = text_of(ops / (snake_case(name) + ".cpp"));
    const std::string url = "\n// Source: https://docs.aws.amazon.com/" + std::string(service) +
                            "/latest/APIReference/API_" + name + ".html\n";
    EXPECT_NE(source.find(url), source.npos);
    int replies = 0, rejections = 0;
    if (fs::exists(golden_folder(service) / name))
      for (const auto& entry : fs::directory_iterator(golden_folder(service) / name)) {
        const Json file = Json::parse(text_of(entry.path()));
        (file.value("status", 0) == 200 ? replies : rejections) += file.contains("status");
      }
    EXPECT_GE(replies, 1);
    EXPECT_GE(rejections, 1);
  }
}

}  // namespace millrace::test
