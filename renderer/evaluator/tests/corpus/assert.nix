[ (assert true; 1) (assert 1 == 1; assert 2 == 2; 2) ((assert true; x: x) 3) ]
