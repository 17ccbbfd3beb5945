// Admission's cryptography by the OpenSSL that Node carries and exports: nothing is linked twice.
#pragma once

#include "../core/auth.h"

namespace skein::io {

class OpensslAuth final : public core::Authenticator {
 public:
  // On a JavaScript thread, before the control thread asks for anything.
  OpensslAuth();

  void RandomBytes(uint8_t* to, size_t count) override;
  void Hmac(core::Bytes key, std::span<const core::Bytes> parts, uint8_t* out32) const override;
};

}  // namespace skein::io
