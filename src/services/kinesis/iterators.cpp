#include "services/kinesis/iterators.hpp"

#include <charconv>
#include <cstdio>

namespace millrace::services::kinesis {
namespace {

std::uint64_t account_number(const Environment& environment) noexcept {
  std::uint64_t number = 0;
  const std::string& digits = environment.account_id;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// As Java prints a date: Thu Jan 22 01:22:02 UTC 2015
std::string java_date(TimePoint time) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{std::chrono::floor<std::chrono::seconds>(time - day)};
  char text[64];
  std::snprintf(text, sizeof text, "%s %s %02u %02d:%02d:%02d UTC %d", kDays[std::chrono::weekday{day}.c_encoding()],
                kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), static_cast<int>(date.year()));
  return text;
}

}  // namespace

std::string write_iterator(const Environment& environment, const streams::Stream& stream, const streams::Shard& shard,
                           log::Position next) {
  std::string token(streams::IteratorCodec::kChars, '\0');
  const streams::IteratorFields fields{account_number(environment), stream.incarnation, shard.index, next,
                                       environment.clock.now()};
  environment.streams.iterators().write(fields, token.data());
  return token;
}

Outcome<streams::IteratorFields> read_iterator(const Environment& environment, std::string_view token) {
  const auto fields = environment.streams.iterators().read(token);
  if (!fields || fields->account != account_number(environment)) return invalid_argument("Invalid ShardIterator.");
  const TimePoint now = environment.clock.now();
  if (now - fields->issued > kIteratorLife)
    return ServiceError{"ExpiredIteratorException", 400,
                        "Iterator expired. The iterator was created at time " + java_date(fields->issued) +
                            " while right now it is " + java_date(now) +
                            " which is further in the future than the tolerated delay of 300000 milliseconds."};
  return *fields;
}

}  // namespace millrace::services::kinesis
