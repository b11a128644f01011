# layering.<name> fails when a file of the layer includes a header of a layer that DEPENDS does not name.
function(layering_test name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  if(BUILD_TESTING)
    list(JOIN ARG_DEPENDS "," allowed)
    add_test(NAME layering.${name}
             COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DALLOWED=${name},${allowed} -DROOT=${PROJECT_SOURCE_DIR}
                     -P ${PROJECT_SOURCE_DIR}/cmake/CheckLayering.cmake)
  endif()
endfunction()

# One static library, one test program and one include-direction test a layer.
#
#   layer(log DEPENDS base journal [LIBRARIES OpenSSL::Crypto] [TEST_SHARDS 3])
#
# TEST_SHARDS: its tests run as so many, beside each other: for those that take longer than all others.
# Sources are src/<name>/**.cpp, public headers include/millrace/<name>/*.hpp, tests tests/<name>/*.cpp.
# DEPENDS names every lower layer this one may include; layering.<name> fails on any other include.
function(layer name)
  cmake_parse_arguments(ARG "" "TEST_SHARDS" "DEPENDS;LIBRARIES;PRIVATE_LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/millrace/${name}/*.hpp)
  set(links millrace_options ${ARG_LIBRARIES})
  foreach(lower IN LISTS ARG_DEPENDS)
    list(APPEND links millrace_${lower})
  endforeach()
  if(sources)
    add_library(millrace_${name} STATIC ${sources})
    target_link_libraries(millrace_${name} PUBLIC ${links} PRIVATE ${ARG_PRIVATE_LIBRARIES})
    target_include_directories(millrace_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include PRIVATE ${PROJECT_SOURCE_DIR}/src)
    set(scope PUBLIC)
  else()
    add_library(millrace_${name} INTERFACE)
    target_link_libraries(millrace_${name} INTERFACE ${links})
    target_include_directories(millrace_${name} INTERFACE ${PROJECT_SOURCE_DIR}/include)
    set(scope INTERFACE)
  endif()
  if(headers)
    target_sources(millrace_${name} ${scope} FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${headers})
    if(MILLRACE_VERIFY_HEADERS)
      set_target_properties(millrace_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
    endif()
  endif()
  if(BUILD_TESTING)
    layering_test(${name} DEPENDS ${ARG_DEPENDS})
    file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${name}/*.cpp)
    if(tests)
      add_executable(${name}_tests ${tests})
      target_link_libraries(${name}_tests PRIVATE millrace_${name} GTest::gtest GTest::gmock GTest::gtest_main)
      target_include_directories(${name}_tests PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/src)
      target_compile_definitions(${name}_tests PRIVATE MILLRACE_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/${name}")
      # What is measured lies in the libraries; the tests themselves are to be built soon.
      target_compile_options(${name}_tests PRIVATE $<$<CONFIG:Release>:-O1>)
      if(MILLRACE_SANITIZE MATCHES address OR (MILLRACE_SANITIZE AND NOT ARG_TEST_SHARDS))
        target_compile_options(${name}_tests PRIVATE -O0)
      endif()
      if(ARG_TEST_SHARDS)
        math(EXPR last "${ARG_TEST_SHARDS} - 1")
        foreach(shard RANGE ${last})
          add_test(NAME unit.${name}.${shard} COMMAND ${name}_tests --gtest_brief=1)
          set_tests_properties(unit.${name}.${shard} PROPERTIES
            ENVIRONMENT "GTEST_TOTAL_SHARDS=${ARG_TEST_SHARDS};GTEST_SHARD_INDEX=${shard}")
        endforeach()
      else()
        add_test(NAME unit.${name} COMMAND ${name}_tests --gtest_brief=1)
      endif()
    endif()
  endif()
endfunction()

# The operations of one AWS service are the files of src/services/<service>/ops: adding an operation is adding a file.
# Writes operation_table.cpp, an array of &<file>_operation, into the build tree. Call after layer(services ...).
function(operation_table service)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/services/${service}/ops/*.cpp)
  set(declarations "")
  set(entries "")
  foreach(file IN LISTS files)
    get_filename_component(op ${file} NAME_WE)
    string(APPEND declarations "extern const Operation ${op}_operation;\n")
    string(APPEND entries "    &${op}_operation,\n")
  endforeach()
  set(out ${PROJECT_BINARY_DIR}/generated/${service}_operation_table.cpp)
  file(CONFIGURE OUTPUT ${out} CONTENT
"#include <iterator>
#include \"millrace/services/operation.hpp\"
namespace millrace::services::${service} {
${declarations}namespace {
constexpr const Operation* kTable[] = {
${entries}    nullptr};
}
std::span<const Operation* const> operations() { return {kTable, std::size(kTable) - 1}; }
}
" @ONLY)
  target_sources(millrace_services PRIVATE ${out})
endfunction()
