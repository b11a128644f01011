#pragma once
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace millrace::net {

struct OpensslFree {
  void operator()(BIO* it) const noexcept { BIO_free(it); }
  void operator()(X509* it) const noexcept { X509_free(it); }
  void operator()(EVP_PKEY* it) const noexcept { EVP_PKEY_free(it); }
  void operator()(BIGNUM* it) const noexcept { BN_free(it); }
  void operator()(X509_EXTENSION* it) const noexcept { X509_EXTENSION_free(it); }
  void operator()(GENERAL_NAMES* it) const noexcept { GENERAL_NAMES_free(it); }
  void operator()(GENERAL_NAME* it) const noexcept { GENERAL_NAME_free(it); }
  void operator()(ASN1_STRING* it) const noexcept { ASN1_STRING_free(it); }
};
template <class T>
using Owned = std::unique_ptr<T, OpensslFree>;

/// `text` must outlive it.
inline Owned<BIO> reader(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

inline std::string contents(BIO* memory) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

/// The first one in it; null when there is none.
inline Owned<X509> read_certificate(const std::string& pem) {
  return Owned<X509>(PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr));
}

/// Asks for no password: null when it needs one.
inline Owned<EVP_PKEY> read_key(const std::string& pem) {
  const auto refuse = [](char*, int, int, void*) { return -1; };
  return Owned<EVP_PKEY>(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, refuse, nullptr));
}

}  // namespace millrace::net
