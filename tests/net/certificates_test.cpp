#include "millrace/net/certificates.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "support/temporary_directory.hpp"

namespace millrace::net {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::chrono::hours kDay{24};
const SystemTime kNow = std::chrono::system_clock::from_time_t(1'800'000'000);

class KeptCertificatesTest : public testing::Test {
 protected:
  KeptCertificates keep(SystemTime now = kNow, const std::vector<std::string>& names = {"a.test"}) {
    auto kept = keep_certificates(directory / "tls", names, now);
    if (!kept) throw std::runtime_error(kept.error().detail);
    return *std::move(kept);
  }
  std::string refusal(SystemTime now = kNow) {
    const auto kept = keep_certificates(directory / "tls", {"a.test"}, now);
    return kept ? "" : kept.error().detail;
  }
  std::string read(const std::string& name) {
    std::ifstream in(directory / "tls" / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(directory / "tls" / name) << text; }
  mode_t mode(const std::string& name) {
    struct stat status {};
    ::stat((directory / "tls" / name).c_str(), &status);
    return status.st_mode & 0777;
  }

  test::TemporaryDirectory temporary;
  const fs::path directory = temporary.path();
};

TEST_F(KeptCertificatesTest, AreMadeOnceAndTakenAgain) {
  const KeptCertificates first = keep();
  EXPECT_EQ(first.news.size(), 2u);
  EXPECT_EQ(read("ca.pem"), first.authority);
  EXPECT_EQ(read("server.pem"), first.material.certificates);
  EXPECT_EQ(mode("ca.key"), 0600u);
  EXPECT_EQ(mode("server.key"), 0600u);
  EXPECT_EQ(mode("ca.pem") & 0400, 0400u);
  EXPECT_EQ(first.renew_at, kNow + 366 * kDay);
  const KeptCertificates again = keep(kNow + kDay);
  EXPECT_TRUE(again.news.empty());
  EXPECT_EQ(again.material.certificates, first.material.certificates);
  EXPECT_TRUE(Tls::make(again.material));
}

TEST_F(KeptCertificatesTest, NameTheMachineAndWhatIsAskedFor) {
  char own[256] = "";
  ::gethostname(own, sizeof own - 1);
  const auto facts =
      facts_of(keep(kNow, {"Data.Example", "10.1.2.3", "FE80::1", "*.s3.test", "localhost"}).material.certificates);
  ASSERT_TRUE(facts);
  for (const char* name : {"localhost", "*.localhost", "*.execute-api.localhost", "127.0.0.1", "::1",
                           "host.docker.internal", "data.example", "10.1.2.3", "fe80::1", "*.s3.test"})
    EXPECT_EQ(std::count(facts->names.begin(), facts->names.end(), name), 1) << name;
  std::string lower(own);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  EXPECT_THAT(facts->names, Contains(lower));
}

TEST_F(KeptCertificatesTest, AreMadeAgainBeforeTheyEndAndForOtherNamesByTheSameAuthority) {
  const KeptCertificates first = keep();
  const KeptCertificates renewed = keep(first.renew_at);
  EXPECT_THAT(renewed.news, ElementsAre("a certificate was made: the one before ends soon"));
  EXPECT_NE(renewed.material.certificates, first.material.certificates);
  EXPECT_EQ(renewed.authority, first.authority);
  EXPECT_THAT(keep(kNow + 367 * kDay, {"b.test"}).news, ElementsAre("a certificate was made: the names are others"));
  EXPECT_THAT(keep(kNow, {"b.test"}).news, ElementsAre("a certificate was made: the one before is of a later time"));
  write("server.key", "no key");
  EXPECT_THAT(keep(kNow, {"b.test"}).news, ElementsAre("a certificate was made: the one before cannot be used"));
}

TEST_F(KeptCertificatesTest, HaveANewAuthorityBeforeTheOldOneEnds) {
  const KeptCertificates first = keep();
  const KeptCertificates late = keep(kNow + 3500 * kDay);
  EXPECT_EQ(late.authority, first.authority);
  EXPECT_LE(facts_of(late.material.certificates)->until, facts_of(late.authority)->until);
  const KeptCertificates after = keep(kNow + 3600 * kDay);
  EXPECT_NE(after.authority, first.authority);
  EXPECT_THAT(after.news[0], HasSubstr("since the one before ends soon"));
  EXPECT_THAT(after.news[1], HasSubstr("of another authority"));
}

TEST_F(KeptCertificatesTest, AnAuthorityThatCannotBeUsedIsNotReplaced) {
  keep();
  const std::string key = read("ca.key"), authority = read("ca.pem");
  fs::remove(directory / "tls" / "ca.key");
  EXPECT_THAT(refusal(), HasSubstr("ca.key: No such file or directory; where nobody needs ca.pem"));
  write("ca.key", read("server.key"));
  EXPECT_THAT(refusal(), HasSubstr("ca.key: is not the key of ca.pem"));
  write("ca.key", key);
  write("ca.pem", "nothing");
  EXPECT_THAT(refusal(), HasSubstr("ca.pem: is no certificate"));
  write("ca.pem", authority);
  EXPECT_EQ(refusal(), "");
  // One that the user has put there signs as well.
  const TlsMaterial own = make_authority(kNow).value();
  write("ca.pem", own.certificates);
  write("ca.key", own.key);
  EXPECT_THAT(keep().news, ElementsAre("a certificate was made: the one before is of another authority"));
}

TEST_F(KeptCertificatesTest, WhatAnEndedProcessLeftHalfDoneIsDoneAgain) {
  fs::create_directories(directory / "tls");
  write("ca.key", "of no certificate");
  write("ca.pem.tmp", "half");
  EXPECT_EQ(keep().news.size(), 2u);
  EXPECT_FALSE(fs::exists(directory / "tls" / "ca.pem.tmp"));
}

TEST_F(KeptCertificatesTest, APlaceThatCannotBeWrittenIsNamed) {
  std::ofstream(directory / "tls") << "a file";
  EXPECT_THAT(refusal(), HasSubstr((directory / "tls").string()));
}

TEST_F(KeptCertificatesTest, TheUsersOwnAreReadAndWarnedOf) {
  keep();
  const fs::path certificates = directory / "tls/server.pem", key = directory / "tls/server.key";
  const auto read_at = [&](SystemTime now) { return read_certificates(certificates, key, now).value().warnings; };
  EXPECT_TRUE(read_at(kNow).empty());
  EXPECT_THAT(read_at(kNow + 390 * kDay), ElementsAre(HasSubstr("ends within 6 days")));
  EXPECT_THAT(read_at(kNow + 400 * kDay), ElementsAre(HasSubstr("is over")));
  fs::permissions(key, fs::perms(0644));
  EXPECT_THAT(read_at(kNow), ElementsAre(HasSubstr("server.key: others than")));

  const auto why = [&](const fs::path& one, const fs::path& other) {
    const auto own = read_certificates(one, other, kNow);
    return own ? "" : own.error().detail;
  };
  EXPECT_THAT(why(directory / "none.pem", key), HasSubstr("none.pem: No such file or directory"));
  EXPECT_THAT(why(certificates, directory / "tls/ca.key"),
              HasSubstr("server.pem and " + (directory / "tls/ca.key").string() + ": the key is not the first"));
  // One file may hold both.
  std::ofstream(directory / "both.pem") << read("server.key") << read("server.pem");
  EXPECT_EQ(why(directory / "both.pem", directory / "both.pem"), "");
}

}  // namespace
}  // namespace millrace::net
