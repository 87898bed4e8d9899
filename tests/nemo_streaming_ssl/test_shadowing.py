# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

import importlib

import pytest

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO

TOY = 'nemo.collections.toy'


@pytest.mark.unit
class TestExtend:
    def test_untouched_classes_and_functions_keep_nemos_import_path(self, patched):
        masking = importlib.import_module(f'{TOY}.masking')
        for value in (masking.Masking, masking.Untouched, masking.Untouched.Inner, masking.helper):
            assert value.__module__ == f'{TOY}.masking'

    def test_a_replaced_class_keeps_the_base_name_and_differs_in_repr(self, patched):
        masking = importlib.import_module(f'{TOY}.masking')
        assert repr(masking.base.Masking) == f"<class '{TOY}._masking_base.Masking'>"
        assert repr(masking.Masking) == f"<class '{TOY}.masking.Masking'>"

    def test_all_globals_are_taken_over_but_module_dunders(self, patched):
        masking = importlib.import_module(f'{TOY}.masking')
        assert masking.LIMIT == 3 and masking.__all__ == ['Masking', 'Untouched']
        assert masking.__name__ == f'{TOY}.masking' and masking.__file__ != masking.base.__file__

    def test_what_the_namespace_defines_stays_and_what_it_replaces_is_not_copied(self, patched):
        base = importlib.import_module(f'{TOY}._masking_base')
        namespace = {'__name__': 'public', 'LIMIT': 4, '__all__': []}
        importlib.import_module('nemo.utils.shadowing').extend(base, namespace, replaces=('Masking',))
        assert namespace['LIMIT'] == 4 and namespace['__all__'] == []
        assert 'Masking' not in namespace and base.Masking.__module__ == base.__name__

    def test_what_the_base_only_imported_is_not_renamed(self, patched):
        toy = patched[0] / 'nemo/collections/toy'
        (toy / 'other.py').write_text('class Other:\n    pass\n')
        original = toy / 'masking.py'
        original.write_text(original.read_text() + '\nfrom nemo.collections.toy.other import Other\n')
        masking = importlib.import_module(f'{TOY}.masking')
        assert masking.Other.__module__ == f'{TOY}.other'

    def test_a_missing_symbol_is_named_with_the_file_and_the_versions(self, patched):
        base = importlib.import_module(f'{TOY}._masking_base')
        extend = importlib.import_module('nemo.utils.shadowing').extend
        with pytest.raises(ImportError) as caught:
            extend(base, {'__name__': 'public'}, replaces=('Masking', 'Absent'))
        for part in ('Absent', base.__file__, OLDEST_NEMO, NEWEST_NEMO):
            assert part in str(caught.value)
        assert 'Masking,' not in str(caught.value)

    def test_private_names_are_taken_over_and_objects_are_left_as_they_are(self, patched):
        original = patched[0] / 'nemo/collections/toy/masking.py'
        original.write_text(original.read_text() + '\n_limit = 5\nDEFAULT = Masking()\n')
        masking = importlib.import_module(f'{TOY}.masking')
        assert masking._limit == 5
        assert '__module__' not in vars(masking.DEFAULT) and type(masking.DEFAULT) is masking.base.Masking

    def test_a_subclass_in_the_base_goes_on_using_the_original(self, patched):
        original = patched[0] / 'nemo/collections/toy/masking.py'
        original.write_text(original.read_text() + '\nclass Strict(Masking):\n    pass\n')
        masking = importlib.import_module(f'{TOY}.masking')
        assert masking.Strict.name == 'original' and masking.Strict.__module__ == f'{TOY}.masking'
        assert not issubclass(masking.Strict, masking.Masking)
