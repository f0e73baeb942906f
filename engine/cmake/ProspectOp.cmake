# prospect_op(layernorm) declares an operation by its name alone. It must stand in four places, each checked here:
#   kernels/<op>/<op>.h and <op>_cpu.cpp   the definition      tests/kernels/<op>_test.cpp
#   engine/ops/<op>.cpp                    the autograd op     bench/<op>_bench.cpp
# NO_AUTOGRAD: the operation has no engine op of its own (an optimizer, or a part of another op).
function(prospect_op name)
  cmake_parse_arguments(OP "NO_AUTOGRAD" "" "" ${ARGN})
  set(files kernels/${name}/${name}.h kernels/${name}/${name}_cpu.cpp tests/kernels/${name}_test.cpp bench/${name}_bench.cpp)
  if(NOT OP_NO_AUTOGRAD)
    list(APPEND files engine/ops/${name}.cpp)
    target_sources(prospect_engine PRIVATE ${PROJECT_SOURCE_DIR}/engine/ops/${name}.cpp)
  endif()
  foreach(file ${files})
    if(NOT EXISTS ${PROJECT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "prospect_op(${name}): ${file} is missing")
    endif()
  endforeach()
  target_sources(prospect_kernels PRIVATE ${PROJECT_SOURCE_DIR}/kernels/${name}/${name}_cpu.cpp)
  prospect_test(kernels/${name})
  prospect_bench(${name})
endfunction()

# One executable and one ctest entry for tests/<path>_test.cpp, labelled with its room.
function(prospect_test path)
  if(NOT PROSPECT_TESTS)
    return()
  endif()
  string(REPLACE "/" "_" target ${path}_test)
  add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/${path}_test.cpp)
  cmake_path(GET path PARENT_PATH room)
  target_link_libraries(${target} PRIVATE prospect_test_support ${ARGN})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${path} COMMAND ${target} --gtest_brief=1)
  # Small products between many barriers: threads that spin there starve whatever else runs on a busy machine.
  set_tests_properties(${path} PROPERTIES LABELS ${room} TIMEOUT 600 ENVIRONMENT OMP_WAIT_POLICY=passive)
endfunction()

function(prospect_bench name)
  if(NOT benchmark_FOUND OR NOT PROSPECT_BENCH)
    return()
  endif()
  add_executable(${name}_bench ${PROJECT_SOURCE_DIR}/bench/${name}_bench.cpp)
  target_link_libraries(${name}_bench PRIVATE prospect_engine benchmark::benchmark)
  set_target_properties(${name}_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
endfunction()
