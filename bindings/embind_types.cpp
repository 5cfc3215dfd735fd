// The types that embind knows, for the one emcc (Debian 12's) whose own list is replaced here.
//
// libembind registers three dozen types by name, nine of ten of them views and strings of characters that nobody here
// uses, and names unknown ones with sprintf: together a twentieth of the wasm. This file is linked in libembind's
// place. It defines what are embind's inner workings, so CMakeLists.txt leaves any other emcc to its own list, which
// does as well and is only larger.

#include <emscripten/bind.h>
#include <emscripten/emscripten.h>

#include <cstdint>
#include <limits>
#include <typeinfo>

extern "C" {

/// What an unknown type is called in embind's error; JavaScript would free it. There are none.
EMSCRIPTEN_KEEPALIVE const char* __getTypeName(const std::type_info* /*type*/) { return nullptr; }

EMSCRIPTEN_KEEPALIVE __attribute__((constructor)) void __embind_register_native_and_builtin_types() {
  using namespace emscripten::internal;
  _embind_register_void(TypeID<void>::get(), "void");
  _embind_register_bool(TypeID<bool>::get(), "bool", sizeof(bool), true, false);
  _embind_register_integer(TypeID<std::uint32_t>::get(), "unsigned int", sizeof(std::uint32_t), 0,
                           std::numeric_limits<std::uint32_t>::max());
  _embind_register_float(TypeID<double>::get(), "double", sizeof(double));
}

}  // extern "C"
