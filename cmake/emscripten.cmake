# The toolchain file of preset `wasm`: finds Emscripten, Debian's or an emsdk, and hands over to its own file.
find_program(PEERBRIDGE_EM_CONFIG em-config HINTS $ENV{EMSCRIPTEN} $ENV{EMSDK}/upstream/emscripten)
if(PEERBRIDGE_EM_CONFIG)
  execute_process(COMMAND ${PEERBRIDGE_EM_CONFIG} EMSCRIPTEN_ROOT
    OUTPUT_VARIABLE _emscripten_root OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT _emscripten_root)
  set(_emscripten_root /usr/share/emscripten)
endif()
if(NOT EXISTS ${_emscripten_root}/cmake/Modules/Platform/Emscripten.cmake)
  message(FATAL_ERROR "Emscripten was not found. On Debian and Ubuntu: apt-get install emscripten. "
    "With an emsdk: source its emsdk_env.sh first.")
endif()
include(${_emscripten_root}/cmake/Modules/Platform/Emscripten.cmake)
