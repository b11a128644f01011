#include "delivery/object_name.hpp"

#include <cstdio>

namespace millrace::delivery {

std::string object_key(std::string_view prefix, std::string_view delivery_stream, std::uint32_t version,
                       TimePoint instant, std::string_view uuid) {
  const auto day = std::chrono::floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{std::chrono::floor<std::chrono::seconds>(instant - day)};
  const int year = static_cast<int>(date.year());
  const auto month = static_cast<unsigned>(date.month()), day_of_month = static_cast<unsigned>(date.day());
  const auto hour = static_cast<int>(time.hours().count()), minute = static_cast<int>(time.minutes().count()),
             second = static_cast<int>(time.seconds().count());
  char folders[64], stamp[64];
  std::snprintf(folders, sizeof folders, "%04d/%02u/%02u/%02d/", year, month, day_of_month, hour);
  std::snprintf(stamp, sizeof stamp, "-%u-%04d-%02u-%02u-%02d-%02d-%02d-", version, year, month, day_of_month, hour,
                minute, second);
  std::string key;
  key.reserve(prefix.size() + delivery_stream.size() + uuid.size() + 64);
  key.append(prefix).append(folders).append(delivery_stream).append(stamp).append(uuid);
  return key;
}

}  // namespace millrace::delivery
