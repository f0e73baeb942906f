# Third-party libraries, all Debian packages. What is missing is named together with the package that has it.
set(PROSPECT_MISSING "")

# The list that install-packages reads must hold every package named here.
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/debian-packages.txt PROSPECT_PACKAGES REGEX "^[a-z]")
list(TRANSFORM PROSPECT_PACKAGES REPLACE " .*" "")
function(prospect_listed debian)
  if(NOT debian IN_LIST PROSPECT_PACKAGES)
    message(FATAL_ERROR "engine/cmake/debian-packages.txt lacks ${debian}")
  endif()
endfunction()

macro(prospect_need package debian)
  prospect_listed(${debian})
  find_package(${package} QUIET ${ARGN})
  if(NOT ${package}_FOUND)
    list(APPEND PROSPECT_MISSING ${debian})
  endif()
endmacro()

# An imported target for a library without a CMake package of its own.
function(prospect_need_library target header library debian)
  prospect_listed(${debian})
  find_path(${target}_INCLUDE ${header})
  find_library(${target}_LIBRARY ${library})
  if(${target}_INCLUDE AND ${target}_LIBRARY)
    add_library(prospect::${target} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(prospect::${target} PROPERTIES IMPORTED_LOCATION ${${target}_LIBRARY}
      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${${target}_INCLUDE})
  else()
    set(PROSPECT_MISSING ${PROSPECT_MISSING} ${debian} PARENT_SCOPE)
  endif()
endfunction()

if(NOT PROSPECT_FUZZ)  # readers of files run on one thread
  prospect_need(OpenMP g++)
endif()
prospect_need(Threads g++)
prospect_need(fmt libfmt-dev)
prospect_need(nlohmann_json nlohmann-json3-dev)
prospect_need(simdjson libsimdjson-dev)
prospect_need(tomlplusplus libtomlplusplus-dev)
prospect_need(CLI11 libcli11-dev)
prospect_need(GTest libgtest-dev)
prospect_need_library(onig oniguruma.h onig libonig-dev)
prospect_need_library(utf8proc utf8proc.h utf8proc libutf8proc-dev)
prospect_need_library(xxhash xxhash.h xxhash libxxhash-dev)
find_package(benchmark QUIET)


if(PROSPECT_MISSING)
  list(REMOVE_DUPLICATES PROSPECT_MISSING)
  list(JOIN PROSPECT_MISSING " " PROSPECT_MISSING_WORDS)
  message(FATAL_ERROR "Libraries are missing. On Debian or Ubuntu:\n  apt-get install ${PROSPECT_MISSING_WORDS}")
endif()
